//! The functions that Envoy gives out: those of Envoy 1.38, linked by name, and later ones, looked up by name when they are first needed.
#![allow(unsafe_code, reason = "imports can be called in no other way")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::LazyLock;

use super::Timing;
use super::types::{EnvoyBuffer, EnvoyHeader, ModuleBuffer, ModuleHeader};

unsafe extern "C" {
    pub(super) fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;

    pub(super) fn envoy_dynamic_module_callback_log(level: u32, message: ModuleBuffer);
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: *mut c_void,
        name: ModuleBuffer,
        label_names: *mut ModuleBuffer,
        label_names_length: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_gauge(
        config: *mut c_void,
        name: ModuleBuffer,
        label_names: *mut ModuleBuffer,
        label_names_length: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: *mut c_void,
        name: ModuleBuffer,
        label_names: *mut ModuleBuffer,
        label_names_length: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_increment_counter(
        filter: *mut c_void,
        id: usize,
        label_values: *mut ModuleBuffer,
        label_values_length: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_set_gauge(
        filter: *mut c_void,
        id: usize,
        label_values: *mut ModuleBuffer,
        label_values_length: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        filter: *mut c_void,
        id: usize,
        label_values: *mut ModuleBuffer,
        label_values_length: usize,
        value: u64,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_get_header(
        filter: *mut c_void,
        map: u32,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers_size(
        filter: *mut c_void,
        map: u32,
    ) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers(
        filter: *mut c_void,
        map: u32,
        result: *mut EnvoyHeader,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_header(
        filter: *mut c_void,
        map: u32,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_send_response(
        filter: *mut c_void,
        status: u32,
        headers: *mut ModuleHeader,
        headers_size: usize,
        body: ModuleBuffer,
        details: ModuleBuffer,
    );
    pub(super) fn envoy_dynamic_module_callback_http_get_body_size(
        filter: *mut c_void,
        body: u32,
    ) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: *mut c_void,
        body: u32,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: *mut c_void,
        body: u32,
    ) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_metadata_string(
        filter: *mut c_void,
        source: u32,
        namespace: ModuleBuffer,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: *mut c_void,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        filter: *mut c_void,
        key: ModuleBuffer,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_new(
        filter: *mut c_void,
    ) -> *mut c_void;
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
        scheduler: *mut c_void,
        event: u64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_delete(
        scheduler: *mut c_void,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: *mut c_void,
        attribute: u32,
        result: *mut EnvoyBuffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        filter: *mut c_void,
        attribute: u32,
        result: *mut u64,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_clear_route_cache(filter: *mut c_void);
    pub(super) fn envoy_dynamic_module_callback_http_filter_continue_decoding(filter: *mut c_void);
}

/// Declares functions that not every version of Envoy has, and looks each up when it is first needed.
macro_rules! by_name {
    ($($field:ident: $symbol:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// What this Envoy has beyond 1.38.
        #[derive(Debug)]
        pub(super) struct ByName {
            $(pub(super) $field: Option<unsafe extern "C" fn($($argument),*) $(-> $result)?>,)*
        }

        pub(super) static BY_NAME: LazyLock<ByName> = LazyLock::new(|| ByName {
            $($field: {
                let name = concat!(stringify!($symbol), "\0");
                CStr::from_bytes_with_nul(name.as_bytes()).ok().and_then(|name| {
                    // SAFETY: the name ends with NUL; the null handle is that of the whole process.
                    let found = unsafe { dlsym(ptr::null_mut(), name.as_ptr()) };
                    // SAFETY: a function of this name has this signature in every version that has it, and a null pointer is `None`.
                    unsafe { std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn($($argument),*) $(-> $result)?>>(found) }
                })
            },)*
        });

        /// The functions that this Envoy does not have.
        pub(crate) fn missing() -> Vec<&'static str> {
            let mut missing = Vec::new();
            $(if BY_NAME.$field.is_none() { missing.push(stringify!($symbol)); })*
            missing
        }
    };
}

by_name! {
    increment_counter: envoy_dynamic_module_callback_http_filter_config_increment_counter(*mut c_void, usize, *mut ModuleBuffer, usize, u64) -> u32;
    set_gauge: envoy_dynamic_module_callback_http_filter_config_set_gauge(*mut c_void, usize, *mut ModuleBuffer, usize, u64) -> u32;
    record_value: envoy_dynamic_module_callback_http_filter_config_record_histogram_value(*mut c_void, usize, *mut ModuleBuffer, usize, u64) -> u32;
    main_scheduler_new: envoy_dynamic_module_callback_http_filter_config_scheduler_new(*mut c_void) -> *mut c_void;
    main_scheduler_commit: envoy_dynamic_module_callback_http_filter_config_scheduler_commit(*mut c_void, u64);
    main_scheduler_delete: envoy_dynamic_module_callback_http_filter_config_scheduler_delete(*mut c_void);
    http_callout: envoy_dynamic_module_callback_http_filter_config_http_callout(*mut c_void, *mut u64, ModuleBuffer, *mut ModuleHeader, usize, ModuleBuffer, u64) -> u32;
    cluster_name: envoy_dynamic_module_callback_http_get_cluster_name(*mut c_void, *mut EnvoyBuffer) -> bool;
    timing: envoy_dynamic_module_callback_http_get_timing_info(*mut c_void, *mut Timing);
    is_validation_mode: envoy_dynamic_module_callback_is_validation_mode() -> bool;
}
