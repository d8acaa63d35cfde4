//! The hooks that Envoy calls, by the names it looks for. Each catches a panic: the request passes, and the panic is counted.
#![allow(
    unsafe_code,
    reason = "an exported name is an unsafe attribute, and what Envoy hands back is a pointer that was handed out here"
)]

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use seawall_policy::environment::effects::Action;

use crate::abi::{self, CALLOUT_SUCCESS, Config, EnvoyBuffer, EnvoyHeader, Filter};
use crate::loaded::Loaded;
use crate::stream::HttpStream;
use crate::{errors, logging, ticks};

/// The version of the ABI that this speaks: what it uses of it is in Envoy 1.38 and later.
const ABI_VERSION: &std::ffi::CStr = c"v0.1.0";

/// The stream goes on.
const CONTINUE: u32 = 0;
/// It stays: a local reply was sent, or it waits, and its body with it.
const STOP_ALL_AND_WATERMARK: u32 = 4;

/// What stands for a stream of which nothing is known: it passes. Null would close it.
static PASSES: u8 = 0;

const fn passes() -> *const c_void {
    (&raw const PASSES).cast()
}

/// Runs a hook; where it panics, `otherwise`.
fn hook<T>(otherwise: T, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        errors::count(errors::PANIC);
        otherwise
    })
}

/// Runs an event of a stream; `otherwise` where nothing is known of it, and where it panics.
///
/// # Safety
/// The pointer comes from [`envoy_dynamic_module_on_http_filter_new`] and was not handed back since.
unsafe fn event<T: Copy>(
    stream: *const c_void,
    otherwise: T,
    run: impl FnOnce(&HttpStream) -> T,
) -> T {
    hook(otherwise, || {
        if stream == passes() {
            return otherwise;
        }
        if stream.is_null() {
            return otherwise;
        }
        let stream = stream.cast::<HttpStream>();
        // SAFETY: as above: the pointer was made by `Rc::into_raw`, on this thread. The hook holds the stream until it returns, since Envoy may
        // destroy it meanwhile.
        let stream = unsafe {
            Rc::increment_strong_count(stream);
            Rc::from_raw(stream)
        };
        run(&stream)
    })
}

const fn status(action: Action) -> u32 {
    match action {
        Action::Continue => CONTINUE,
        Action::Pause => STOP_ALL_AND_WATERMARK,
    }
}

/// The module was loaded: which ABI it speaks.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    hook((), || {
        logging::install();
        if !abi::measures_without_stream() {
            log::warn!(
                "seawall: Envoy 1.38 or before: attempts and response flags are not known, so do not load the module behind the router"
            );
        }
        for function in abi::missing() {
            log::info!(
                "seawall: this Envoy has no {function}: docs/module.md says what that means"
            );
        }
    });
    ABI_VERSION.as_ptr()
}

/// A configuration is made; null refuses it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: *mut c_void,
    name: EnvoyBuffer,
    written: EnvoyBuffer,
) -> *const c_void {
    hook(ptr::null(), || {
        let Some(config) = Config::of(config) else {
            return ptr::null();
        };
        match Loaded::new(config, &name.copied(), &written.copied()) {
            Ok(loaded) => {
                if !abi::is_validation_mode() {
                    ticks::start();
                }
                Box::into_raw(Box::new(loaded)).cast_const().cast()
            }
            Err(error) => {
                log::error!("seawall: configuration refused: {error}");
                ptr::null()
            }
        }
    })
}

/// A configuration goes.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(loaded: *const c_void) {
    hook((), || {
        if !loaded.is_null() {
            // SAFETY: the pointer was made by `Box::into_raw` above, and Envoy hands it back once.
            drop(unsafe { Box::from_raw(loaded.cast_mut().cast::<Loaded>()) });
        }
    });
}

/// A stream begins.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_new(
    loaded: *const c_void,
    filter: *mut c_void,
) -> *const c_void {
    hook(passes(), || {
        // SAFETY: a configuration lives as long as its streams.
        let loaded = unsafe { loaded.cast::<Loaded>().as_ref() };
        match (loaded, Filter::of(filter)) {
            (Some(loaded), Some(filter)) => {
                let stream = HttpStream::new(&loaded.configuration, filter);
                Rc::into_raw(Rc::new(stream)).cast()
            }
            _ => passes(),
        }
    })
}

/// The headers of a request.
///
/// # Safety
/// Envoy calls it with a stream of this module's; so for all that follow.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    _filter: *mut c_void,
    stream: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: as above.
    unsafe {
        event(stream, CONTINUE, |stream| {
            status(stream.request_headers(end_of_stream))
        })
    }
}

/// A chunk of a request's body.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    _filter: *mut c_void,
    stream: *const c_void,
    end_of_stream: bool,
) -> u32 {
    if end_of_stream {
        // SAFETY: as above.
        unsafe { event(stream, (), HttpStream::request_ended) };
    }
    CONTINUE
}

/// The trailers of a request.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    _filter: *mut c_void,
    stream: *const c_void,
) -> u32 {
    // SAFETY: as above.
    unsafe { event(stream, (), HttpStream::request_ended) };
    CONTINUE
}

/// The headers of a response.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    _filter: *mut c_void,
    stream: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: as above.
    unsafe {
        event(stream, CONTINUE, |stream| {
            status(stream.response_headers(end_of_stream))
        })
    }
}

/// A chunk of a response's body.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    _filter: *mut c_void,
    stream: *const c_void,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: as above.
    unsafe { event(stream, (), |stream| stream.response_body(end_of_stream)) };
    CONTINUE
}

/// The trailers of a response.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    _filter: *mut c_void,
    stream: *const c_void,
) -> u32 {
    // SAFETY: as above.
    unsafe { event(stream, (), HttpStream::response_trailers) };
    CONTINUE
}

/// A request is over; its access log is written next.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    _filter: *mut c_void,
    stream: *const c_void,
) {
    // SAFETY: as above.
    unsafe { event(stream, (), HttpStream::complete) };
}

/// A stream is gone.
///
/// # Safety
/// As above, and it is handed back once.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(stream: *const c_void) {
    hook((), || {
        if !stream.is_null() && stream != passes() {
            // SAFETY: the pointer was made by `Rc::into_raw`, on this thread, and Envoy does not have it after this.
            unsafe { Rc::from_raw(stream.cast::<HttpStream>()) }.end();
        }
    });
}

/// A stream wakes its thread.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    _filter: *mut c_void,
    stream: *const c_void,
    _event: u64,
) {
    // SAFETY: as above.
    unsafe { event(stream, (), HttpStream::woken) };
}

/// The main thread was woken.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    _config: *mut c_void,
    _loaded: *const c_void,
    _event: u64,
) {
    hook((), ticks::on_main);
}

/// The response to a request of our own.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    config: *mut c_void,
    _loaded: *const c_void,
    id: u64,
    result: u32,
    headers: *const EnvoyHeader,
    headers_size: usize,
    _body_chunks: *const EnvoyBuffer,
    _body_chunks_size: usize,
) {
    hook((), || {
        let Some(config) = Config::of(config) else {
            return;
        };
        let mut lines = abi::lines_of(&headers, headers_size).iter();
        let status = lines.find(|line| line.key() == b":status");
        let status = status.filter(|_| result == CALLOUT_SUCCESS);
        ticks::answered(config, id, status.map(EnvoyHeader::value));
    });
}

/// Hooks that Envoy demands of every module, for what this one never does: streams of its own, and being the last filter.
macro_rules! never {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            #[doc = "Never called."]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name($(_: $argument),*) {}
        )*
    };
}

never! {
    envoy_dynamic_module_on_http_filter_http_callout_done(*mut c_void, *const c_void, u64, u32, *const EnvoyHeader, usize, *const EnvoyBuffer, usize);
    envoy_dynamic_module_on_http_filter_http_stream_headers(*mut c_void, *const c_void, u64, *const EnvoyHeader, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(*mut c_void, *const c_void, u64, *const EnvoyBuffer, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(*mut c_void, *const c_void, u64, *const EnvoyHeader, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(*mut c_void, *const c_void, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(*mut c_void, *const c_void, u64, u32);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(*mut c_void, *const c_void);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(*mut c_void, *const c_void);
}
