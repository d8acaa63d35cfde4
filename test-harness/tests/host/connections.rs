//! A network filter: data of both sides, what waits, and how a connection ends.

use seawall_harness::abi::stream::Action;
use seawall_harness::process::{Closed, FailurePolicy, Flow, ProcessOptions};

use crate::probe::{Guest, I, R, S, call, reads, said};

#[test]
fn data_goes_through_both_ways_and_the_end_is_done_logged_and_deleted() {
    let process = Guest::new()
        .on("proxy_on_new_connection", &[])
        .on(
            "proxy_on_downstream_data",
            &[
                reads("proxy_get_buffer_bytes", &[I(2), I(0), I(99)]),
                call("proxy_set_buffer_bytes", &[I(2), I(0), I(99), S(b"new")]),
                reads("proxy_get_header_map_value", &[I(0), S(b"x")]),
                call(
                    "proxy_send_local_response",
                    &[I(200), S(b""), S(b""), S(b""), I(-1)],
                ),
            ],
        )
        .on(
            "proxy_on_upstream_data",
            &[call("proxy_get_buffer_status", &[I(3), R(0), R(1)])],
        )
        .on("proxy_on_downstream_connection_close", &[])
        .on("proxy_on_upstream_connection_close", &[])
        .on("proxy_on_done", &[])
        .on("proxy_on_log", &[])
        .on("proxy_on_delete", &[])
        .start();
    let (connection, flow) = process.connect(0, Default::default());
    assert_eq!(flow, Flow::Continue);
    let flow = process.downstream_data(connection, b"hello", false);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(process.take_body(connection, 2), b"new");
    process.upstream_data(connection, b"abcd", true);
    assert_eq!(process.take_body(connection, 3), b"abcd");
    process.close_downstream(connection, Closed::Remote);
    process.close_downstream(connection, Closed::Remote);
    assert_eq!(
        said(&process),
        [
            "proxy_on_new_connection 2",
            "proxy_on_downstream_data 2 5 0",
            "0 @ hello",
            "0 0",
            "2 0",
            "0 0",
            "proxy_on_upstream_data 2 4 1",
            "0 4",
            "proxy_on_upstream_connection_close 2 0",
            "proxy_on_downstream_connection_close 2 2",
            "proxy_on_done 2",
            "proxy_on_log 2",
            "proxy_on_delete 2",
        ]
    );
}

#[test]
fn data_that_waits_is_shown_whole_and_sides_are_resumed_and_closed() {
    let steer = [
        call("proxy_continue_stream", &[I(2)]),
        call("proxy_continue_stream", &[I(3)]),
        call("proxy_close_stream", &[I(2)]),
        call("proxy_close_stream", &[I(3)]),
        call("proxy_continue_stream", &[I(0)]),
        call("proxy_close_stream", &[I(1)]),
    ];
    let process = Guest::new()
        .on_with("proxy_on_downstream_data", &[], 1)
        .on("proxy_on_upstream_data", &steer)
        .start();
    let (connection, _) = process.connect(0, Default::default());
    assert_eq!(
        process.downstream_data(connection, b"ab", false),
        Flow::Pause
    );
    assert_eq!(process.downstream_data(connection, b"c", true), Flow::Pause);
    process.upstream_data(connection, b"", false);
    assert_eq!(
        said(&process),
        [
            "proxy_on_downstream_data 2 2 0",
            "proxy_on_downstream_data 2 3 1",
            "proxy_on_upstream_data 2 0 0",
            "0 0",
            "12 0",
            "0 0",
            "0 0",
            "0 0",
            "0 0",
        ]
    );
    assert_eq!(
        process.take_actions(connection),
        [
            Action::ResumeDownstream,
            Action::CloseDownstream,
            Action::CloseUpstream,
        ]
    );
}

#[test]
fn a_connection_of_a_dead_vm_stands_still_unless_it_may_pass() {
    for (failure_policy, expected) in [
        (FailurePolicy::Closed, Flow::Pause),
        (FailurePolicy::Open, Flow::Continue),
    ] {
        let process = Guest::new()
            .on("proxy_on_new_connection", &[])
            .start_with(ProcessOptions {
                failure_policy,
                ..ProcessOptions::default()
            });
        process.kill(0);
        let (connection, flow) = process.connect(0, Default::default());
        assert_eq!(flow, expected);
        assert_eq!(process.downstream_data(connection, b"x", false), expected);
    }
}
