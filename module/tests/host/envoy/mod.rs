//! A host of dynamic modules: streams are maps, and nothing is sent anywhere.

mod callbacks;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    ptr: *const u8,
    length: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Line {
    key: Buffer,
    value: Buffer,
}

impl Buffer {
    fn lent(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    fn copied(self) -> Vec<u8> {
        if self.ptr.is_null() {
            return Vec::new();
        }
        // SAFETY: the module lends this for the time of the call.
        unsafe { std::slice::from_raw_parts(self.ptr, self.length) }.to_vec()
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&self.copied()).into_owned()
    }
}

/// Lines of a header map.
pub(crate) type Lines = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn lines(of: &[(&str, &str)]) -> Lines {
    let bytes = |text: &str| text.as_bytes().to_vec();
    of.iter()
        .map(|(name, value)| (bytes(name), bytes(value)))
        .collect()
}

/// One stream of the host's.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) maps: [Lines; 4],
    pub(crate) texts: HashMap<u32, Vec<u8>>,
    pub(crate) numbers: HashMap<u32, u64>,
    pub(crate) state: HashMap<Vec<u8>, Vec<u8>>,
    pub(crate) body: Vec<u8>,
    pub(crate) replied: Option<u32>,
    /// Whether a local reply ends it at once, before the call that sends it returns.
    pub(crate) dies_with_reply: bool,
    is_dead: bool,
    /// The number of header lines that the host claims there are.
    pub(crate) claims: Option<usize>,
    stream: AtomicUsize,
}

impl Filter {
    /// Whether the host has ended it.
    pub(crate) fn is_over(&self) -> bool {
        self.is_dead
    }
}

/// A configuration of the host's.
pub(crate) struct Config {
    itself: Box<u64>,
    loaded: *const c_void,
}

// SAFETY: the module says that configurations and streams may be used from any thread, one at a time.
unsafe impl Send for Config {}
// SAFETY: as above: streams are begun on several threads.
unsafe impl Sync for Config {}

unsafe extern "C" {
    fn envoy_dynamic_module_on_program_init() -> *const c_char;
    fn envoy_dynamic_module_on_http_filter_config_new(
        config: *mut c_void,
        name: Buffer,
        written: Buffer,
    ) -> *const c_void;
    fn envoy_dynamic_module_on_http_filter_config_destroy(loaded: *const c_void);
    fn envoy_dynamic_module_on_http_filter_new(
        loaded: *const c_void,
        filter: *mut c_void,
    ) -> *const c_void;
    fn envoy_dynamic_module_on_http_filter_request_headers(
        filter: *mut c_void,
        stream: *const c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_request_body(
        filter: *mut c_void,
        stream: *const c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_request_trailers(
        filter: *mut c_void,
        stream: *const c_void,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_response_headers(
        filter: *mut c_void,
        stream: *const c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_response_body(
        filter: *mut c_void,
        stream: *const c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_response_trailers(
        filter: *mut c_void,
        stream: *const c_void,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_stream_complete(
        filter: *mut c_void,
        stream: *const c_void,
    );
    fn envoy_dynamic_module_on_http_filter_destroy(stream: *const c_void);
    fn envoy_dynamic_module_on_http_filter_scheduled(
        filter: *mut c_void,
        stream: *const c_void,
        event: u64,
    );
    fn envoy_dynamic_module_on_http_filter_config_scheduled(
        config: *mut c_void,
        loaded: *const c_void,
        event: u64,
    );
}

static METRICS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
static NAMES: Mutex<Vec<(String, Vec<String>)>> = Mutex::new(Vec::new());
static WOKEN: AtomicBool = AtomicBool::new(false);
static SCHEDULERS: AtomicU64 = AtomicU64::new(0);
/// Streams whose threads were to be woken, by their addresses.
static WAKES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The version of the ABI that the module says it speaks.
pub(crate) fn load() -> String {
    // SAFETY: a text that ends with NUL and lives as long as the module.
    let version = unsafe { CStr::from_ptr(envoy_dynamic_module_on_program_init()) };
    version.to_string_lossy().into_owned()
}

/// The sum of all series that hold all of these.
pub(crate) fn sum(parts: &[&str]) -> u64 {
    let metrics = lock(&METRICS);
    let fits = |name: &str| parts.iter().all(|part| name.contains(part));
    metrics
        .iter()
        .filter(|(name, _)| fits(name))
        .map(|(_, value)| value)
        .sum()
}

impl Config {
    /// Loads a configuration; nothing where the module refuses it.
    pub(crate) fn load(name: &str, written: &str) -> Option<Self> {
        let mut itself = Box::new(7);
        let config: *mut u64 = &mut *itself;
        // SAFETY: the module only keeps the pointer.
        let loaded = unsafe {
            envoy_dynamic_module_on_http_filter_config_new(
                config.cast(),
                Buffer::lent(name.as_bytes()),
                Buffer::lent(written.as_bytes()),
            )
        };
        (!loaded.is_null()).then_some(Self { itself, loaded })
    }

    /// A stream of it begins.
    pub(crate) fn stream(&self, filter: Filter) -> Stream {
        let filter = Box::into_raw(Box::new(filter));
        // SAFETY: both live.
        let stream = unsafe { envoy_dynamic_module_on_http_filter_new(self.loaded, filter.cast()) };
        assert!(!stream.is_null(), "null closes a stream");
        // SAFETY: the box was just made.
        unsafe { &*filter }
            .stream
            .store(stream.addr(), Ordering::Release);
        Stream { filter, stream }
    }

    /// The main thread runs what it was woken for.
    pub(crate) fn run_main(&self) {
        if WOKEN.swap(false, Ordering::AcqRel) {
            let config: *const u64 = &*self.itself;
            // SAFETY: both live.
            unsafe {
                envoy_dynamic_module_on_http_filter_config_scheduled(
                    config.cast_mut().cast(),
                    self.loaded,
                    0,
                );
            }
        }
    }

    /// Runs the main thread until something holds.
    ///
    /// # Panics
    /// If it does not within ten seconds.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            self.run_main();
            assert!(
                Instant::now() < deadline,
                "not within ten seconds: {what}: {:#?}",
                lock(&METRICS)
            );
            std::thread::yield_now();
        }
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: it goes once.
        unsafe { envoy_dynamic_module_on_http_filter_config_destroy(self.loaded) };
    }
}

/// A stream that the module knows. It ends when it is dropped.
pub(crate) struct Stream {
    filter: *mut Filter,
    stream: *const c_void,
}

impl Stream {
    /// What the host knows of it.
    pub(crate) fn known(&mut self) -> &mut Filter {
        // SAFETY: the box lives as long as this, and the module has no reference to it between calls.
        unsafe { &mut *self.filter }
    }

    pub(crate) fn request_headers(&self, end: bool) -> u32 {
        // SAFETY: both live; so below.
        unsafe {
            envoy_dynamic_module_on_http_filter_request_headers(
                self.filter.cast(),
                self.stream,
                end,
            )
        }
    }

    pub(crate) fn request_body(&self, end: bool) -> u32 {
        // SAFETY: as above.
        unsafe {
            envoy_dynamic_module_on_http_filter_request_body(self.filter.cast(), self.stream, end)
        }
    }

    pub(crate) fn request_trailers(&self) -> u32 {
        // SAFETY: as above.
        unsafe {
            envoy_dynamic_module_on_http_filter_request_trailers(self.filter.cast(), self.stream)
        }
    }

    pub(crate) fn response_headers(&self, end: bool) -> u32 {
        // SAFETY: as above.
        unsafe {
            envoy_dynamic_module_on_http_filter_response_headers(
                self.filter.cast(),
                self.stream,
                end,
            )
        }
    }

    pub(crate) fn response_body(&self, end: bool) -> u32 {
        // SAFETY: as above.
        unsafe {
            envoy_dynamic_module_on_http_filter_response_body(self.filter.cast(), self.stream, end)
        }
    }

    pub(crate) fn response_trailers(&self) -> u32 {
        // SAFETY: as above.
        unsafe {
            envoy_dynamic_module_on_http_filter_response_trailers(self.filter.cast(), self.stream)
        }
    }

    pub(crate) fn complete(&self) {
        // SAFETY: as above.
        unsafe {
            envoy_dynamic_module_on_http_filter_stream_complete(self.filter.cast(), self.stream)
        };
    }

    /// The thread runs what this stream was to wake it for.
    pub(crate) fn run_woken(&self) {
        let woken = {
            let mut wakes = lock(&WAKES);
            let before = wakes.len();
            wakes.retain(|address| *address != self.filter.addr());
            wakes.len() < before
        };
        if woken {
            // SAFETY: as above.
            unsafe {
                envoy_dynamic_module_on_http_filter_scheduled(self.filter.cast(), self.stream, 1)
            };
        }
    }

    /// A request with this status that went to an upstream and has its response.
    pub(crate) fn respond(&mut self, status: &str) -> u32 {
        let filter = self.known();
        filter.maps[2] = lines(&[(":status", status)]);
        filter.numbers.insert(53, 1);
        self.response_headers(true)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: both go once, the module's part first.
        unsafe {
            if !(*self.filter).is_dead {
                envoy_dynamic_module_on_http_filter_destroy(self.stream);
            }
            drop(Box::from_raw(self.filter));
        }
        lock(&WAKES).retain(|address| *address != self.filter.addr());
    }
}

/// A request to a cluster, from a connection of its own.
pub(crate) fn request(cluster: &str) -> Filter {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
    let mut filter = Filter::default();
    filter.maps[0] = lines(&[
        (":method", "GET"),
        (":path", "/"),
        (":authority", "host"),
        (":scheme", "http"),
    ]);
    filter.texts.insert(57, cluster.as_bytes().to_vec());
    filter.texts.insert(24, b"10.0.0.1:1234".to_vec());
    filter.texts.insert(16, b"via_upstream".to_vec());
    filter.texts.insert(41, b"10.1.1.1:80".to_vec());
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    filter.numbers.insert(28, connection);
    filter
}

/// Schedulers that were made and not given back.
pub(crate) fn schedulers() -> u64 {
    SCHEDULERS.load(Ordering::Acquire)
}
