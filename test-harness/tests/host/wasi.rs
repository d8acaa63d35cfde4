//! WASI calls, and what a guest may do while it starts.

use seawall_harness::module::HostError;
use seawall_harness::process::{Process, ProcessOptions};

use crate::probe::{BAD, Guest, I, L, R, S, call, compare, in_root, said, split};

#[test]
fn calls_of_wasi_answer_as_envoys_do() {
    in_root(&[
        (call("clock_time_get", &[I(1), L(0), R(0)]), "0 0"),
        (call("clock_time_get", &[I(2), L(0), R(0)]), "58 0"),
        (call("clock_time_get", &[I(0), L(0), BAD]), "21 0"),
        (call("random_get", &[BAD, I(20)]), "21 0"),
        (call("random_get", &[R(0), I(70_000)]), "28 0"),
        (call("fd_read", &[I(0), I(0), I(0), R(0)]), "52 0"),
        (call("fd_close", &[I(9)]), "0 0"),
        (call("fd_seek", &[I(9), L(0), I(0), R(0)]), "0 0"),
        (call("fd_fdstat_get", &[I(0), R(0)]), "8 0"),
        (call("fd_fdstat_get", &[I(1), R(0)]), "0 0"),
        (call("fd_fdstat_get", &[I(1), BAD]), "0 0"),
        (call("fd_fdstat_set_flags", &[I(1), I(0)]), "52 0"),
        (call("fd_prestat_get", &[I(3), R(0)]), "8 0"),
        (call("fd_prestat_dir_name", &[I(3), R(0), I(8)]), "52 0"),
        (call("args_sizes_get", &[R(0), R(1)]), "0 0"),
        (call("args_get", &[R(0), R(1)]), "0 0"),
        (call("poll_oneoff", &[I(0), I(0), I(0), R(0)]), "0 0"),
        (call("sched_yield", &[]), "0 0"),
        (call("fd_write", &[I(3), I(0), I(0), R(0)]), "8 0"),
        (call("fd_write", &[I(1), I(0), I(0), R(0)]), "0 0"),
        (call("fd_write", &[I(1), I(0), I(0), BAD]), "21 0"),
        (call("fd_write", &[I(1), BAD, I(1), R(0)]), "21 0"),
        (
            call("wasi_unstable:fd_read", &[I(0), I(0), I(0), R(0)]),
            "52 0",
        ),
        (call("fd_sync", &[I(1)]), "52 0"),
        (call("emscripten_notify_memory_growth", &[I(0)]), "0 0"),
        (call("pthread_equal", &[I(3), I(3)]), "1 0"),
        // An exit is passed over: what follows is still done.
        (call("proc_exit", &[I(3)]), "0 0"),
        (call("sched_yield", &[]), "0 0"),
    ]);
}

#[test]
fn the_environment_is_the_vms_and_what_is_printed_is_a_line() {
    // A piece that says "b\n", laid out by hand.
    let piece = [16_i32, 2].map(i32::to_le_bytes).concat();
    let table = [
        (call("environ_sizes_get", &[R(0), R(1)]), "0 1"),
        (call("environ_get", &[R(0), I(70_000)]), "0 @"),
        (call("proxy_log", &[I(2), I(70_000), I(7)]), "0 0"),
        (call("random_get", &[I(70_000), I(4)]), "0 0"),
    ];
    let (calls, _) = split(&table);
    let guest = Guest::new()
        .on("proxy_on_vm_start", &calls)
        .on("proxy_on_tick", &[call("proxy_log", &[I(2), S(&piece)])]);
    let process = guest.start_with(ProcessOptions {
        environment: vec![("EV".to_owned(), "val".to_owned())],
        ..ProcessOptions::default()
    });
    let said = said(&process);
    let expected = ["0 1", "0 @", "EV=val", "0 0", "0 0"];
    let found: Vec<String> = said[1..6]
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect();
    compare(&found, &expected, &calls);
}

#[test]
fn a_start_runs_initialize_and_main_or_else_start_once_more_than_there_are_vms() {
    let process = Guest::new()
        .on("_initialize", &[call("args_sizes_get", &[R(0), R(1)])])
        .on("main", &[])
        .on("_start", &[])
        .start_with(ProcessOptions::default());
    let lines = said(&process);
    assert_eq!(lines, ["_initialize", "0 0", "main 0 0"].repeat(4));
    let process = Guest::new()
        .on("_start", &[])
        .on("main", &[])
        .start_with(ProcessOptions::default());
    assert_eq!(said(&process), ["_start"; 4]);
}

#[test]
fn a_guest_that_starts_may_call_a_few_things_only() {
    let start = |call| {
        let module = Guest::new().on("_initialize", &[call]).module();
        Process::start(&module.expect("a module"), ProcessOptions::default(), 0).map(|_| ())
    };
    for allowed in [
        call("random_get", &[R(0), I(4)]),
        call("clock_time_get", &[I(0), L(0), R(0)]),
        call("fd_fdstat_get", &[I(1), R(0)]),
        call("fd_fdstat_set_flags", &[I(1), I(0)]),
        call("fd_prestat_get", &[I(3), R(0)]),
        call("poll_oneoff", &[I(0), I(0), I(0), R(0)]),
        call("environ_sizes_get", &[R(0), R(1)]),
    ] {
        let name = allowed.0;
        assert!(start(allowed).is_ok(), "{name}");
    }
    for refused in [
        call("proxy_get_current_time_nanoseconds", &[R(0)]),
        call("proxy_set_tick_period_milliseconds", &[I(1)]),
        call("fd_read", &[I(0), I(0), I(0), R(0)]),
        call("fd_close", &[I(1)]),
        call("sched_yield", &[]),
        call("proc_exit", &[I(0)]),
    ] {
        let name = refused.0;
        let trapped = start(refused);
        assert!(
            matches!(&trapped, Err(HostError::Trapped(why)) if why.contains("restricted_callback")),
            "{name}: {trapped:?}"
        );
    }
}
