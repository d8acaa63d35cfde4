//! What a module may import: all of Proxy-Wasm 0.2.1 and the calls of WASI that modules really ask for.
//!
//! An import that stands here and that this host does not have is linked and answers "unimplemented", so that a module
//! which never calls it runs. What does not stand here is refused when the module is loaded, as Envoy does.

/// The two names under which modules ask for WASI preview 1.
pub(crate) const WASI_SPACES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

const ENV: [&str; 40] = [
    "emscripten_notify_memory_growth",
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

const WASI: [&str; 17] = [
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// The name of an import, if modules may ask for it.
pub(crate) fn import(space: &str, name: &str) -> Option<&'static str> {
    let list: &[&'static str] = match space {
        "env" => &ENV,
        space if WASI_SPACES.contains(&space) => &WASI,
        _ => return None,
    };
    list.iter().find(|known| **known == name).copied()
}
