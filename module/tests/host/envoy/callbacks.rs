//! The functions that the host gives out.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering;

use super::{
    Buffer, Filter, Line, METRICS, NAMES, SCHEDULERS, WAKES, WOKEN,
    envoy_dynamic_module_on_http_filter_destroy,
    envoy_dynamic_module_on_http_filter_response_headers, lines, lock,
};

unsafe fn filter<'a>(filter: *mut c_void) -> &'a mut Filter {
    // SAFETY: the module hands back what it was given in this call.
    let filter = unsafe { &mut *filter.cast::<Filter>() };
    assert!(
        !filter.is_dead,
        "a stream that is no more is asked or told something"
    );
    filter
}

unsafe fn lend(result: *mut Buffer, found: Option<&Vec<u8>>) -> bool {
    if let Some(found) = found {
        // SAFETY: the module gives a place for it.
        unsafe { *result = Buffer::lent(found) };
    }
    found.is_some()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_log(level: u32, message: Buffer) {
    if level >= 4 && std::env::var_os("SEAWALL_MODULE_LOG").is_some() {
        eprintln!("{}", message.text());
    }
}

fn define(name: Buffer, labels: *const Buffer, count: usize, id: *mut usize) -> u32 {
    let labels = (0..count)
        .map(|at| unsafe { *labels.add(at) }.text())
        .collect();
    let mut names = lock(&NAMES);
    let entry = (name.text(), labels);
    let known = names.iter().position(|known| *known == entry);
    // SAFETY: the module gives a place for it.
    unsafe {
        *id = known.unwrap_or_else(|| {
            names.push(entry);
            names.len() - 1
        });
    }
    0
}

fn measure(id: usize, values: *const Buffer, count: usize, change: impl FnOnce(&mut u64)) -> u32 {
    let (mut name, labels) = lock(&NAMES)[id].clone();
    if labels.len() != count {
        return 2;
    }
    for (at, label) in labels.iter().enumerate() {
        name.push_str(&format!("..{label}={}", unsafe { *values.add(at) }.text()));
    }
    change(lock(&METRICS).entry(name).or_default());
    0
}

macro_rules! metrics {
    ($($define:ident $measure:ident $by_stream:ident |$stands:ident, $value:ident| $change:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $define(_: *mut c_void, name: Buffer, labels: *mut Buffer, count: usize, id: *mut usize) -> u32 {
            define(name, labels, count, id)
        }
        #[unsafe(no_mangle)]
        extern "C" fn $measure(_: *mut c_void, id: usize, values: *mut Buffer, count: usize, $value: u64) -> u32 {
            measure(id, values, count, |$stands| $change)
        }
        #[unsafe(no_mangle)]
        extern "C" fn $by_stream(_: *mut c_void, id: usize, values: *mut Buffer, count: usize, $value: u64) -> u32 {
            measure(id, values, count, |$stands| $change)
        }
    )*};
}

metrics! {
    envoy_dynamic_module_callback_http_filter_config_define_counter
        envoy_dynamic_module_callback_http_filter_config_increment_counter
        envoy_dynamic_module_callback_http_filter_increment_counter |stands, value| *stands += value;
    envoy_dynamic_module_callback_http_filter_config_define_gauge
        envoy_dynamic_module_callback_http_filter_config_set_gauge
        envoy_dynamic_module_callback_http_filter_set_gauge |stands, value| *stands = value;
    envoy_dynamic_module_callback_http_filter_config_define_histogram
        envoy_dynamic_module_callback_http_filter_config_record_histogram_value
        envoy_dynamic_module_callback_http_filter_record_histogram_value |stands, _value| *stands += 1;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_header(
    of: *mut c_void,
    map: u32,
    key: Buffer,
    result: *mut Buffer,
    index: usize,
    count: *mut usize,
) -> bool {
    assert!(count.is_null());
    let key = key.copied();
    let mut found = unsafe { filter(of) }.maps[map as usize]
        .iter()
        .filter(|(name, _)| *name == key);
    unsafe { lend(result, found.nth(index).map(|(_, value)| value)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_headers_size(
    of: *mut c_void,
    map: u32,
) -> usize {
    let filter = unsafe { filter(of) };
    filter.claims.unwrap_or(filter.maps[map as usize].len())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_headers(
    of: *mut c_void,
    map: u32,
    result: *mut Line,
) -> bool {
    for (at, (name, value)) in unsafe { filter(of) }.maps[map as usize].iter().enumerate() {
        let line = Line {
            key: Buffer::lent(name),
            value: Buffer::lent(value),
        };
        // SAFETY: the module has room for as many as it was told.
        unsafe { *result.add(at) = line };
    }
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_header(
    of: *mut c_void,
    map: u32,
    key: Buffer,
    value: Buffer,
) -> bool {
    let (name, is_removed) = (key.copied(), value.ptr.is_null());
    let lines = &mut unsafe { filter(of) }.maps[map as usize];
    lines.retain(|(known, _)| *known != name);
    if !is_removed {
        lines.push((name, value.copied()));
    }
    true
}

/// As Envoy does, the host calls the module with the response before it returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_send_response(
    of: *mut c_void,
    status: u32,
    headers: *mut Line,
    count: usize,
    body: Buffer,
    details: Buffer,
) {
    let stream = {
        let filter = unsafe { filter(of) };
        filter.replied = Some(status);
        let mut lines = lines(&[(":status", &status.to_string())]);
        lines.extend(
            (0..count)
                .map(|at| unsafe { *headers.add(at) })
                .map(|line| (line.key.copied(), line.value.copied())),
        );
        filter.maps[2] = lines;
        filter.body = body.copied();
        filter.texts.insert(16, details.copied());
        ptr::without_provenance::<c_void>(filter.stream.load(Ordering::Acquire))
    };
    // SAFETY: the stream lives, as it made this call; its address was exposed when it was stored.
    let stream: *const c_void = ptr::with_exposed_provenance(stream.addr());
    unsafe { envoy_dynamic_module_on_http_filter_response_headers(of, stream, true) };
    let filter = unsafe { filter(of) };
    if filter.dies_with_reply {
        // What was lent until now is no more.
        filter.maps = Default::default();
        unsafe { envoy_dynamic_module_on_http_filter_destroy(stream) };
        filter.is_dead = true;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_body_size(
    of: *mut c_void,
    _body: u32,
) -> usize {
    unsafe { filter(of) }.body.len()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_body_chunks_size(
    of: *mut c_void,
    _body: u32,
) -> usize {
    unsafe { filter(of) }.body.chunks(100).len()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_body_chunks(
    of: *mut c_void,
    _body: u32,
    result: *mut Buffer,
) -> bool {
    for (at, chunk) in unsafe { filter(of) }.body.chunks(100).enumerate() {
        // SAFETY: the module has room for as many as it was told.
        unsafe { *result.add(at) = Buffer::lent(chunk) };
    }
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_metadata_string(
    _of: *mut c_void,
    _source: u32,
    _namespace: Buffer,
    _key: Buffer,
    _result: *mut Buffer,
) -> bool {
    false
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
    of: *mut c_void,
    key: Buffer,
    value: Buffer,
) -> bool {
    unsafe { filter(of) }
        .state
        .insert(key.copied(), value.copied());
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
    of: *mut c_void,
    key: Buffer,
    result: *mut Buffer,
) -> bool {
    let found = unsafe { filter(of) }.state.get(&key.copied());
    unsafe { lend(result, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
    of: *mut c_void,
    attribute: u32,
    result: *mut Buffer,
) -> bool {
    let found = unsafe { filter(of) }.texts.get(&attribute);
    unsafe { lend(result, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
    of: *mut c_void,
    attribute: u32,
    result: *mut u64,
) -> bool {
    let found = unsafe { filter(of) }.numbers.get(&attribute);
    if let Some(found) = found {
        unsafe { *result = *found };
    }
    found.is_some()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_cluster_name(
    _of: *mut c_void,
    _result: *mut Buffer,
) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_clear_route_cache(_of: *mut c_void) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_continue_decoding(_of: *mut c_void) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_new(
    of: *mut c_void,
) -> *mut c_void {
    SCHEDULERS.fetch_add(1, Ordering::AcqRel);
    Box::into_raw(Box::new(of.addr())).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
    scheduler: *mut c_void,
    _event: u64,
) {
    lock(&WAKES).push(unsafe { *scheduler.cast::<usize>() });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_delete(
    scheduler: *mut c_void,
) {
    SCHEDULERS.fetch_sub(1, Ordering::AcqRel);
    drop(unsafe { Box::from_raw(scheduler.cast::<usize>()) });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
    _config: *mut c_void,
) -> *mut c_void {
    SCHEDULERS.fetch_add(1, Ordering::AcqRel);
    Box::into_raw(Box::new(0_usize)).cast()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
    _scheduler: *mut c_void,
    _event: u64,
) {
    WOKEN.store(true, Ordering::Release);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(
    scheduler: *mut c_void,
) {
    SCHEDULERS.fetch_sub(1, Ordering::AcqRel);
    drop(unsafe { Box::from_raw(scheduler.cast::<usize>()) });
}
