//! What an operator forces by a POST to the state page: every worker acts on it.

#[path = "forced/refused.rs"]
mod refused;

use std::rc::Rc;

use seawall_native::{Process, Request, Worker};
use seawall_policy::environment::effects::Reply;
use seawall_policy::environment::facts::StreamFact;
use seawall_policy::time::Span;
use serde_json::{Value, json};

/// A certificate that is listed.
const OPS: &str = "spiffe://cluster.local/ns/ops/sa/oncall";
/// Where no header says anything of the page that made a browser send.
const PLAIN: &[(&str, &str)] = &[];

struct Scene {
    process: Rc<Process>,
    workers: Vec<Worker>,
    /// The peer's certificate; none is empty.
    identity: &'static str,
    address: &'static str,
}

impl Scene {
    fn new() -> Self {
        Self::with(
            &json!({"force": {"addresses": ["10.0.0.1"], "identities": ["spiffe://cluster.local/ns/ops/*"]}}),
        )
    }

    fn with(page: &Value) -> Self {
        let process = super::process();
        let mut whole = json!({"path": "/seawall", "trust": {"addresses": ["10.0.0.0/24"]}});
        let more = page.as_object().expect("an object").clone();
        whole.as_object_mut().expect("an object").extend(more);
        let breaker = |mode: &str| {
            json!({"breaker": {
                "mode": mode, "consecutive": 3, "ramp": "0s", "hosts": {"grace": "0s"}, "open": {"for": "30s", "up_to": "30s", "jitter": 0}
            }})
        };
        let mut routes = breaker("enforce");
        routes["scope"] = json!("route");
        let configuration = json!({
            "version": 1,
            "page": whole,
            "policies": {
                "p": breaker("enforce"), "routes": routes, "hosts": breaker("enforce"), "off": breaker("off"), "shadow": breaker("shadow")
            },
            "upstreams": [
                {"cluster": "routes", "policy": "routes"},
                {"cluster": "hosts", "policy": "hosts", "key": "authority"},
                {"cluster": "off", "policy": "off"},
                {"cluster": "shadow", "policy": "shadow"},
                {"cluster": "*", "policy": "p"},
            ],
        });
        let configuration = configuration.to_string();
        let worker =
            |seed| Worker::new(&process, &configuration, seed).expect("a valid configuration");
        let workers = (1..=4).map(worker).collect();
        Self {
            process,
            workers,
            identity: "",
            address: "10.0.0.1:1234",
        }
    }

    fn request(&self, cluster: &str, lines: &[(&str, &str)]) -> Request {
        let call = Request::new(&self.process, cluster, lines);
        let mut known = call.known.borrow_mut();
        known
            .stream
            .insert(StreamFact::PeerAddress, self.address.into());
        known
            .stream
            .insert(StreamFact::PeerUriSan, self.identity.into());
        drop(known);
        call
    }

    /// What a request to this path is answered by the filter.
    fn ask(
        &mut self,
        worker: usize,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
    ) -> Option<Rc<Reply>> {
        let mut lines = vec![
            (":method", method),
            (":path", path),
            (":scheme", "http"),
            (":authority", "10.0.0.9:10000"),
        ];
        lines.extend(more);
        let mut call = self.request("shop", &lines);
        call.send(&mut self.workers[worker], true);
        let reply = call.reply();
        call.end(&mut self.workers[worker]);
        reply
    }

    fn page(&mut self, worker: usize) -> Option<Value> {
        let reply = self.ask(worker, "GET", "/seawall", PLAIN)?;
        Some(serde_json::from_slice(&reply.body).expect("JSON"))
    }

    fn token(&mut self) -> String {
        let page = self.page(0).expect("a page");
        page["force"]["token"].as_str().expect("a token").to_owned()
    }

    /// The status of a POST with this query, and what it says; nothing where it is not answered.
    fn post(&mut self, worker: usize, query: &str, more: &[(&str, &str)]) -> Option<(u16, Value)> {
        let reply = self.ask(worker, "POST", &format!("/seawall?{query}"), more)?;
        let said = serde_json::from_slice(&reply.body).unwrap_or_default();
        Some((reply.status, said))
    }

    /// The same by somebody who may, to a worker that has not met the upstream yet.
    fn force(&mut self, query: &str) -> Value {
        let token = self.token();
        let answered = self.post(3, &format!("{query}&token={token}"), PLAIN);
        let (status, said) = answered.expect("an answer");
        assert_eq!(status, 200, "{said}");
        said
    }

    /// Why somebody who may is refused.
    fn refusal(&mut self, query: &str) -> (u16, String) {
        let token = self.token();
        let answered = self.post(3, &format!("{query}&token={token}"), PLAIN);
        let (status, said) = answered.expect("an answer");
        (
            status,
            said["error"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// Whether each of the workers lets a request to this cluster pass, which is answered so.
    fn pass(&mut self, cluster: &str, authority: &str, status: u16) -> [bool; 4] {
        std::array::from_fn(|worker| {
            let lines = [
                (":method", "GET"),
                (":path", "/"),
                (":authority", authority),
            ];
            let mut call = self.request(cluster, &lines);
            let went = call.send(&mut self.workers[worker], true);
            if went {
                call.respond(&mut self.workers[worker], status, &[]);
            }
            call.end(&mut self.workers[worker]);
            went
        })
    }

    fn counted(&mut self, words: &[&str]) -> u64 {
        for worker in &mut self.workers {
            worker.tick();
        }
        self.workers[0].counted(words)
    }
}

#[test]
fn forced_open_every_worker_refuses_at_once_until_its_time_is_over() {
    let mut scene = Scene::new();
    assert_eq!(scene.pass("shop", "a", 200), [true; 4]);
    // All of them remember by now that each request passes.
    assert_eq!(scene.pass("shop", "a", 200), [true; 4]);
    let said = scene.force("policy=p&upstream=shop&do=open&for=1m");
    let shown = &said["upstreams"];
    assert_eq!(
        shown.as_array().map(Vec::len),
        Some(1),
        "it alone is shown: {said}"
    );
    assert_eq!(
        shown[0]["forced"],
        json!({"to": "open", "ms_left": 60_000, "by": "10.0.0.1"})
    );
    assert_eq!(scene.pass("shop", "a", 200), [false; 4]);
    assert_eq!(
        scene.pass("other", "a", 200),
        [true; 4],
        "that upstream alone"
    );
    scene.process.pass(Span::millis(59_999));
    assert_eq!(scene.pass("shop", "a", 200), [false; 4]);
    scene.process.pass(Span::millis(1));
    assert_eq!(scene.pass("shop", "a", 200), [true; 4]);
    assert_eq!(
        scene.counted(&["seawall_forced", "policy=p", "upstream=shop", "to=open"]),
        1
    );
    let log = scene.process.take_log();
    let line = "seawall: policy=p upstream=shop operator=open for=60000ms by=10.0.0.1";
    assert_eq!(
        log.iter().filter(|logged| *logged == line).count(),
        1,
        "{log:?}"
    );
}

#[test]
fn forced_closed_beats_a_trip_and_a_reset_begins_anew() {
    let mut scene = Scene::new();
    let trip = |scene: &mut Scene| {
        scene.pass("shop", "a", 503);
        assert_eq!(scene.pass("shop", "a", 503), [false; 4], "it opened");
    };
    trip(&mut scene);
    scene.force("policy=p&upstream=shop&do=closed&for=10m");
    assert_eq!(scene.pass("shop", "a", 503), [true; 4]);
    scene.force("policy=p&upstream=shop&do=release");
    assert_eq!(
        scene.pass("shop", "a", 200),
        [false; 4],
        "the breaker stands where it stood"
    );
    let said = scene.force("policy=p&upstream=shop&do=reset");
    assert_eq!(said["upstreams"][0]["state"], json!("closed"));
    assert_eq!(scene.pass("shop", "a", 200), [true; 4]);
    scene.force("policy=p&upstream=shop&do=open&for=24h");
    scene.force("policy=p&upstream=shop&do=reset");
    assert_eq!(
        scene.pass("shop", "a", 200),
        [true; 4],
        "a reset takes back what is forced"
    );
    trip(&mut scene);
    for (action, times) in [("closed", 1), ("release", 1), ("reset", 2), ("open", 1)] {
        assert_eq!(
            scene.counted(&["seawall_forced", &format!("to={action}")]),
            times,
            "{action}"
        );
    }
    let log = scene.process.take_log();
    assert!(
        log.iter()
            .any(|line| line.contains("open -> closed operator=reset")),
        "{log:?}"
    );
}

#[test]
fn one_route_or_one_authority_is_forced_and_no_other() {
    let mut scene = Scene::new();
    for (cluster, authority) in [
        ("routes", "a"),
        ("hosts", "a.example"),
        ("hosts", "b.example"),
    ] {
        scene.pass(cluster, authority, 200);
    }
    scene.force("policy=routes&upstream=routes&route=route&do=open&for=1m");
    assert_eq!(scene.pass("routes", "a", 200), [false; 4]);
    let said = scene.force("policy=hosts&upstream=hosts&authority=A.example:443&do=open&for=1m");
    assert_eq!(said["upstreams"][0]["authority"], json!("a.example"));
    assert_eq!(scene.pass("hosts", "a.example", 200), [false; 4]);
    assert_eq!(scene.pass("hosts", "b.example", 200), [true; 4]);
}

#[test]
fn a_browser_gets_html_and_is_sent_back_to_the_page_after_a_button() {
    let mut scene = Scene::new();
    scene.pass("shop", "a", 200);
    let browser: &[(&str, &str)] = &[
        ("accept", "text/html,*/*;q=0.8"),
        ("origin", "http://10.0.0.9:10000"),
        ("sec-fetch-site", "same-origin"),
    ];
    let header = |reply: &Reply, name: &str| {
        let found = reply
            .headers
            .iter()
            .find(|(known, _)| known.as_ref() == name.as_bytes());
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    let page = scene
        .ask(0, "GET", "/seawall", &browser[..1])
        .expect("a page");
    assert_eq!(
        header(&page, "content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let button = html
        .split("formaction=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let button = button.expect("a button").replace("&amp;", "&");
    let sent = scene
        .ask(1, "POST", &format!("/seawall{button}"), browser)
        .expect("an answer");
    assert_eq!(
        (sent.status, header(&sent, "location").as_deref()),
        (303, Some("/seawall"))
    );
    assert_eq!(scene.pass("shop", "a", 200), [false; 4]);
    let again = scene.ask(2, "GET", "/seawall", browser).expect("a page");
    assert!(String::from_utf8_lossy(&again.body).contains("open for 60 s more, by 10.0.0.1"));
    let evil: &[(&str, &str)] = &[("accept", "text/html"), ("origin", "http://evil.example")];
    let refused = scene
        .ask(1, "POST", &format!("/seawall{button}"), evil)
        .expect("an answer");
    assert_eq!(
        (
            refused.status,
            header(&refused, "x-frame-options").as_deref()
        ),
        (403, Some("DENY"))
    );
}
