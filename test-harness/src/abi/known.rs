//! What a module may import and export: all of Proxy-Wasm, WASI preview 1, and two functions of Emscripten.
//!
//! A call of WASI that this host does not have is linked and answers "not supported". What does not stand here is refused
//! when the module is loaded, as Envoy does.

/// The two names under which modules ask for WASI preview 1.
pub(crate) const WASI_SPACES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

const ENV: [&str; 41] = [
    "emscripten_notify_memory_growth",
    "pthread_equal",
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_close_stream",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_size",
    "proxy_get_header_map_value",
    "proxy_get_log_level",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_register_shared_queue",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_resolve_shared_queue",
    "proxy_send_local_response",
    "proxy_set_buffer_bytes",
    "proxy_set_effective_context",
    "proxy_set_header_map_pairs",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// What modules before 0.2.0 had, and what they did not have yet.
const OLD: [&str; 4] = [
    "proxy_clear_route_cache",
    "proxy_continue_request",
    "proxy_continue_response",
    "proxy_get_configuration",
];
const NOT_OLD: [&str; 2] = ["proxy_close_stream", "proxy_continue_stream"];

/// All of WASI preview 1 but `proc_raise`, which Envoy does not have.
const WASI: [&str; 45] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// What a guest may call while `_initialize`, `main` or `_start` runs, before it knows its plugin; all else traps.
const EARLY: [&str; 14] = [
    "proxy_log",
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_write",
    "poll_oneoff",
    "random_get",
];

/// Whether a guest may call this while it starts.
pub(crate) fn early(name: &str) -> bool {
    EARLY.contains(&name)
}

/// The name of an import, if modules of this version may ask for it.
pub(crate) fn import(version: Version, space: &str, name: &str) -> Option<&'static str> {
    if version != Version::V021 && name == "proxy_get_log_level" {
        return None;
    }
    if version == Version::V010 && NOT_OLD.contains(&name) {
        return None;
    }
    let list: &[&'static str] = match space {
        "env" if version == Version::V010 && OLD.contains(&name) => &OLD,
        "env" => &ENV,
        space if WASI_SPACES.contains(&space) => &WASI,
        _ => return None,
    };
    list.iter().find(|known| **known == name).copied()
}

/// A version of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 0.1.0: headers come without their end, and streams go on by a function for each side.
    V010,
    /// 0.2.0: the same without `proxy_get_log_level`.
    V020,
    /// 0.2.1.
    V021,
}

/// What each callback takes, and whether it gives anything.
const CALLBACKS: [(&str, usize, bool); 35] = [
    ("_initialize", 0, false),
    ("_start", 0, false),
    ("main", 2, true),
    ("malloc", 1, true),
    ("proxy_on_memory_allocate", 1, true),
    ("proxy_on_configure", 2, true),
    ("proxy_on_context_create", 2, false),
    ("proxy_on_delete", 1, false),
    ("proxy_on_done", 1, true),
    ("proxy_on_downstream_connection_close", 2, false),
    ("proxy_on_downstream_data", 3, true),
    ("proxy_on_foreign_function", 3, false),
    ("proxy_on_grpc_close", 3, false),
    ("proxy_on_grpc_receive", 3, false),
    ("proxy_on_grpc_receive_initial_metadata", 3, false),
    ("proxy_on_grpc_receive_trailing_metadata", 3, false),
    ("proxy_on_http_call_response", 5, false),
    ("proxy_on_log", 1, false),
    ("proxy_on_new_connection", 1, true),
    ("proxy_on_queue_ready", 2, false),
    ("proxy_on_request_body", 3, true),
    ("proxy_on_request_headers", 3, true),
    ("proxy_on_request_metadata", 2, true),
    ("proxy_on_request_trailers", 2, true),
    ("proxy_on_response_body", 3, true),
    ("proxy_on_response_headers", 3, true),
    ("proxy_on_response_metadata", 2, true),
    ("proxy_on_response_trailers", 2, true),
    ("proxy_on_tick", 1, false),
    ("proxy_on_upstream_connection_close", 2, false),
    ("proxy_on_upstream_data", 3, true),
    ("proxy_on_vm_start", 2, true),
    ("proxy_validate_configuration", 2, true),
    ("proxy_on_resolve_dns", 3, false),
    ("proxy_on_stats_update", 2, false),
];

/// What a callback of this name must look like: how many `i32` it takes, and whether it gives one.
pub(crate) fn callback(version: Version, name: &str) -> Option<(usize, bool)> {
    let (_, takes, gives) = *CALLBACKS.iter().find(|(known, ..)| *known == name)?;
    let without_end = version == Version::V010
        && matches!(
            name,
            "proxy_on_request_headers" | "proxy_on_response_headers"
        );
    Some((takes - usize::from(without_end), gives))
}
