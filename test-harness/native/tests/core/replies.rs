//! Local replies that stand in front of everything else, and what happens where the host does not take them.

use serde_json::json;

use seawall_native::{Request, Worker};

fn configuration() -> String {
    let configuration = json!({
        "version": 1,
        "page": {"path": "/seawall", "trust": {"addresses": ["10.0.0.1"]}},
        "policies": {"p": {}},
        "upstreams": [{"cluster": "*", "policy": "p"}],
    });
    configuration.to_string()
}

#[test]
fn the_state_page_is_answered_and_a_host_that_refuses_it_lets_the_request_go() {
    for refusals in [0, 1] {
        let process = super::process();
        let mut worker = Worker::new(&process, &configuration(), 1).expect("a valid configuration");
        let headers = [
            (":method", "GET"),
            (":path", "/seawall"),
            (":authority", "shop"),
        ];
        let mut call = Request::new(&process, "shop", &headers);
        call.refusals = refusals;
        assert_eq!(call.send(&mut worker, true), refusals == 1);
        assert_eq!(call.tried[0].details, "seawall_page");
        call.end(&mut worker);
        worker.tick();
        assert_eq!(worker.counted(&["decision=admitted"]), refusals as u64);
    }
}

#[test]
fn a_client_that_sends_a_failover_header_is_told_so_and_never_sent_elsewhere() {
    for refusals in [0, 1] {
        let process = super::process();
        let mut worker = Worker::new(&process, &configuration(), 1).expect("a valid configuration");
        let headers = [
            (":method", "GET"),
            (":path", "/"),
            (":authority", "shop"),
            ("x-seawall-failover", "elsewhere"),
        ];
        let mut call = Request::new(&process, "shop", &headers);
        call.refusals = refusals;
        assert_eq!(call.send(&mut worker, true), refusals == 1);
        assert_eq!(call.tried[0].status, 400);
        if refusals == 1 {
            assert_eq!(call.known.borrow().request.text("x-seawall-failover"), None);
        }
        call.end(&mut worker);
    }
}
