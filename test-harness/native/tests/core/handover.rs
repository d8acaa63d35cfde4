//! What the two positions hand to each other: nothing while attempts succeed, where both are one VM; and whatever happens, an attempt
//! that is not the first is not taken for one.

use std::rc::Rc;

use seawall_native::{Headers, Process, Question, Request, Worker};
use seawall_policy::environment::facts::{ResponseFact, StreamFact};
use seawall_policy::outcome::flag;
use seawall_policy::position::FilterPosition;
use seawall_policy::time::Span;
use serde_json::json;

const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];
const VOTE: &str = "x-seawall-retry";

/// Both positions, and who knows that they are.
struct Scene {
    process: Rc<Process>,
    down: Worker,
    up: Worker,
}

/// A policy of two attempts whose first attempts pay in so many percent of a retry.
fn configuration(percent: u32) -> String {
    let retries = json!({"attempts": 2, "budget": {"ratio": percent, "min_per_second": 0}});
    json!({
        "version": 1,
        "trust": {"addresses": ["10.0.0.9"]},
        "policies": {"p": {"retries": retries, "breaker": {"mode": "off"}}},
        "upstreams": [{"cluster": "*", "policy": "p"}],
    })
    .to_string()
}

impl Scene {
    /// Both positions in one VM, or in two; the first request has shown which.
    fn of(percent: u32, together: bool) -> Self {
        let process = super::process();
        process.questions();
        let configuration = configuration(percent);
        let down = Worker::new(&process, &configuration, 1).expect("valid");
        let down = down.at(FilterPosition::Downstream);
        let up = match together {
            true => Worker::beside(&down, &configuration, 2).expect("valid"),
            false => Worker::new(&process, &configuration, 2).expect("valid"),
        };
        let mut scene = Self {
            process,
            down,
            up: up.at(FilterPosition::Upstream),
        };
        let first = scene.open();
        assert!(first.written(), "nothing is known yet");
        scene.finish(first, 200);
        scene
    }

    /// A request with its first attempt on its way.
    fn open(&mut self) -> Open {
        let mut request = Request::new(&self.process, "shop", &GET);
        assert!(request.send(&mut self.down, true));
        let mut attempt = request.attempt(1);
        assert!(attempt.send(&mut self.up, true));
        Open { request, attempt }
    }

    /// Its first attempt is answered; whether that was voted on.
    fn answer(&mut self, open: &mut Open, status: u16) -> bool {
        open.attempt.respond(&mut self.up, status, &[]);
        let voted = open.attempt.known.borrow().response.text(VOTE).is_some();
        open.attempt.done(&mut self.up);
        voted
    }

    /// It is answered with what its first attempt got, or well after a second one; whether the first was voted on.
    fn finish(&mut self, mut open: Open, status: u16) -> bool {
        if !self.answer(&mut open, status) {
            self.end(open, status);
            return false;
        }
        open.attempt = open.request.attempt(2);
        assert!(open.attempt.send(&mut self.up, true));
        self.answer(&mut open, 200);
        self.end(open, 200);
        true
    }

    fn end(&mut self, mut open: Open, status: u16) {
        open.request.respond(&mut self.down, status, &[]);
        open.request.end(&mut self.down);
    }

    fn good(&mut self, count: usize) {
        for _ in 0..count {
            let open = self.open();
            assert!(!self.finish(open, 200));
        }
    }

    fn granted(&mut self) -> u64 {
        self.process.pass(Span::millis(400));
        self.down.tick();
        self.up.tick();
        let granted = ["seawall_retries", "decision=granted"];
        self.up.counted(&granted)
    }
}

/// One request and an attempt of it.
struct Open {
    request: Request,
    attempt: Request,
}

impl Open {
    /// Whether the property is there.
    fn written(&self) -> bool {
        self.request.known.borrow().attempts.borrow().is_some()
    }
}

#[test]
fn while_attempts_succeed_nothing_is_written_or_read_and_all_pay_in() {
    let mut scene = Scene::of(1, true);
    scene.process.questions().take();
    for _ in 0..98 {
        let open = scene.open();
        assert!(!open.written());
        scene.finish(open, 200);
    }
    let asked = scene.process.questions().take();
    let state = Question::Stream(StreamFact::AttemptState);
    assert!(asked.iter().all(|one| one.question != state));
    // With the first one and itself a hundred have paid in, each the hundredth of a retry.
    let open = scene.open();
    assert!(scene.finish(open, 503), "paid for");
    let open = scene.open();
    assert!(!scene.finish(open, 503), "there was one");
    assert_eq!(scene.granted(), 1);
}

#[test]
fn a_failure_writes_what_is_kept_of_all_on_their_way_once() {
    let mut scene = Scene::of(100, true);
    let (mut one, mut two, three) = (scene.open(), scene.open(), scene.open());
    assert!(![&one, &two, &three].iter().any(|open| open.written()));
    assert!(scene.answer(&mut two, 503));
    assert!([&one, &two, &three].iter().all(|open| open.written()));
    // The second attempt was paid for by the vote, and is not paid for again.
    let mut again = two.request.attempt(2);
    assert!(again.send(&mut scene.up, true));
    again.respond(&mut scene.up, 200, &[]);
    again.done(&mut scene.up);
    scene.end(two, 200);
    assert_eq!(scene.granted(), 1);
    // The others vote as ever, and what comes after them is not written.
    assert!(scene.answer(&mut one, 503));
    scene.end(one, 503);
    scene.finish(three, 200);
    let later = scene.open();
    assert!(!later.written());
    scene.finish(later, 200);
    let refunded = ["seawall_retries", "decision=refunded"];
    assert_eq!(scene.granted(), 2);
    assert_eq!(scene.down.counted(&refunded), 1, "its retry was never sent");
}

#[test]
fn a_later_attempt_that_nobody_saw_coming_is_not_taken_for_a_first_one() {
    // A route of its own may hedge, or retry what looks good from here.
    for answered in [false, true] {
        let mut scene = Scene::of(0, true);
        let mut open = scene.open();
        if answered {
            scene.answer(&mut open, 200);
        }
        let mut later = open.request.attempt(2);
        assert!(!later.send(&mut scene.up, true), "nobody pays for it");
        let reply = later.reply().expect("it is refused");
        assert_eq!(reply.details, "seawall_retry_budget");
        let mut scene = Scene::of(100, true);
        let open = scene.open();
        let mut later = open.request.attempt(2);
        assert!(later.send(&mut scene.up, true));
        let attempt = later.known.borrow().request.text("x-seawall-attempt");
        assert_eq!(attempt.as_deref(), Some("2"), "those behind are told");
        assert_eq!(scene.granted(), 1);
    }
}

#[test]
fn an_attempt_without_an_answer_is_known_to_the_next_one() {
    let mut scene = Scene::of(100, true);
    let mut post = Request::new(&scene.process, "shop", &GET);
    post.known.borrow_mut().request.set(":method", "POST");
    assert!(post.send(&mut scene.down, true));
    let mut attempt = post.attempt(1);
    assert!(attempt.send(&mut scene.up, true));
    let reason = b"refused".to_vec();
    let known = Rc::clone(&attempt.known);
    let mut known = known.borrow_mut();
    known.answer.insert(ResponseFact::TransportFailure, reason);
    drop(known);
    attempt.done(&mut scene.up);
    let mut second = post.attempt(2);
    assert!(second.send(&mut scene.up, true), "nothing was sent before");
    assert_eq!(scene.granted(), 1);
}

#[test]
fn what_was_never_sent_pays_nothing_in() {
    for (flags, retried) in [
        (flag::UPSTREAM_OVERFLOW, false),
        (flag::UPSTREAM_TIMEOUT, true),
    ] {
        let mut scene = Scene::of(1, true);
        for _ in 0..99 {
            let mut request = Request::new(&scene.process, "shop", &GET);
            assert!(request.send(&mut scene.down, true));
            let mut known = request.known.borrow_mut();
            let flags = flags.to_le_bytes().to_vec();
            known.answer.insert(ResponseFact::Flags, flags);
            known
                .answer
                .insert(ResponseFact::Details, b"local".to_vec());
            drop(known);
            request.respond(&mut scene.down, 503, &[]);
            request.end(&mut scene.down);
        }
        let open = scene.open();
        assert_eq!(scene.finish(open, 503), retried, "{flags:x}");
    }
}

#[test]
fn two_vms_write_it_for_each_request() {
    let mut scene = Scene::of(1, false);
    for _ in 0..98 {
        let open = scene.open();
        assert!(open.written());
        scene.finish(open, 200);
    }
    let open = scene.open();
    assert!(scene.finish(open, 503), "all have paid in");
    let open = scene.open();
    assert!(!scene.finish(open, 503));
}

#[test]
fn once_a_property_of_another_vm_was_read_all_are_written() {
    let mut scene = Scene::of(100, true);
    scene.good(2);
    let other = Worker::new(&scene.process, &configuration(100), 3).expect("valid");
    let mut other = other.at(FilterPosition::Downstream);
    let kept = scene.open();
    assert!(!kept.written());
    let mut request = Request::new(&scene.process, "shop", &GET);
    assert!(request.send(&mut other, true));
    let mut attempt = request.attempt(1);
    assert!(attempt.send(&mut scene.up, true));
    attempt.respond(&mut scene.up, 503, &[]);
    attempt.done(&mut scene.up);
    assert!(kept.written());
    scene.finish(kept, 200);
    for _ in 0..10 {
        let open = scene.open();
        assert!(open.written());
        assert!(scene.finish(open, 503), "and paid for as ever");
    }
}

#[test]
fn of_many_requests_on_their_way_1024_are_kept() {
    let mut scene = Scene::of(1, true);
    scene.good(2);
    let open: Vec<_> = (0..1_100).map(|_| scene.open()).collect();
    let written = open.iter().filter(|open| open.written()).count();
    assert_eq!(written, 1_100 - 1_024);
    for open in open {
        scene.finish(open, 200);
    }
    scene.good(1);
    let open = scene.open();
    assert!(!open.written(), "there is room again");
    scene.finish(open, 200);
}

#[test]
fn where_nothing_is_kept_a_first_attempt_is_read_and_shows_another_vm() {
    let mut scene = Scene::of(100, true);
    scene.good(2);
    let other = Worker::new(&scene.process, &configuration(100), 3).expect("valid");
    let mut other = other.at(FilterPosition::Downstream);
    let mut request = Request::new(&scene.process, "shop", &GET);
    assert!(request.send(&mut other, true));
    let mut attempt = request.attempt(1);
    assert!(attempt.send(&mut scene.up, true));
    attempt.respond(&mut scene.up, 200, &[]);
    attempt.done(&mut scene.up);
    let open = scene.open();
    assert!(open.written(), "two VMs write");
}

#[test]
fn a_first_attempt_that_is_a_retry_of_somebodys_says_so_behind() {
    let mut scene = Scene::of(100, true);
    scene.good(2);
    let mut retry = Request::new(&scene.process, "shop", &GET);
    {
        let mut known = retry.known.borrow_mut();
        known.request.set("x-seawall-attempt", "2");
        let peer = b"10.0.0.9:1234".to_vec();
        known.stream.insert(StreamFact::PeerAddress, peer);
    }
    assert!(retry.send(&mut scene.down, true));
    let mut attempt = retry.attempt(1);
    assert!(attempt.send(&mut scene.up, true));
    let told = attempt.known.borrow().request.text("x-seawall-attempt");
    assert_eq!(told.as_deref(), Some("2"));
    // While it is on its way all first attempts read what is written; afterwards none does.
    attempt.respond(&mut scene.up, 200, &[]);
    attempt.done(&mut scene.up);
    retry.respond(&mut scene.down, 200, &[]);
    retry.end(&mut scene.down);
    scene.process.questions().take();
    scene.good(1);
    let asked = scene.process.questions().take();
    let state = Question::Stream(StreamFact::AttemptState);
    assert!(asked.iter().all(|one| one.question != state));
}

/// What the host says of a request whose attempts did not pass the position here.
fn ends_unseen(scene: &mut Scene, request: Request, attempts: u64, details: &str) {
    ends_with(scene, request, 503, attempts, details);
}

fn ends_with(scene: &mut Scene, mut request: Request, status: u16, attempts: u64, details: &str) {
    {
        let mut known = request.known.borrow_mut();
        let count = attempts.to_le_bytes().to_vec();
        known.stream.insert(StreamFact::AttemptCount, count);
        known.answer.insert(ResponseFact::Details, details.into());
    }
    let status = status.to_string();
    let lines = [(":status", status.as_str())];
    request.response_headers(&mut scene.down, Headers::of(&lines), true);
    request.end(&mut scene.down);
}

fn sent(scene: &mut Scene) -> Request {
    let mut request = Request::new(&scene.process, "shop", &GET);
    assert!(request.send(&mut scene.down, true));
    request
}

#[test]
fn where_the_position_behind_is_gone_retries_are_charged_whatever_comes_of_them() {
    for status in [503, 200] {
        let mut scene = Scene::of(20, true);
        scene.good(50);
        // So often at most it is not noticed.
        for _ in 0..300 {
            let request = sent(&mut scene);
            ends_with(&mut scene, request, 200, 1, "via_upstream");
        }
        let mut retried = 0;
        for _ in 0..1_000 {
            let request = sent(&mut scene);
            let told = request.known.borrow().request.text("x-envoy-max-retries");
            let may = told.as_deref() != Some("0");
            retried += u64::from(may);
            ends_with(
                &mut scene,
                request,
                status,
                1 + u64::from(may),
                "via_upstream",
            );
        }
        scene.process.pass(Span::millis(400));
        scene.down.tick();
        let charged = scene.down.counted(&["seawall_retries", "decision=charged"]);
        assert_eq!(charged, retried, "{status}");
        let paid = 100..=300;
        assert!(
            paid.contains(&retried),
            "{status}: {retried} of 1,000, of which a fifth is paid for"
        );
    }
}

#[test]
fn where_attempts_pass_another_vm_the_first_retry_shows_it() {
    for in_turn in [false, true] {
        let mut scene = Scene::of(0, true);
        scene.good(2);
        let other = Worker::new(&scene.process, &configuration(0), 3).expect("valid");
        let mut other = other.at(FilterPosition::Upstream);
        let mut unpaid = 0;
        for _ in 0..600 {
            if in_turn {
                scene.good(1);
            }
            let request = sent(&mut scene);
            let mut first = request.attempt(1);
            assert!(first.send(&mut other, true));
            first.done(&mut other);
            let mut second = request.attempt(2);
            unpaid += u64::from(second.send(&mut other, true));
            second.done(&mut other);
            let details = "upstream_reset_before_response_started";
            ends_unseen(&mut scene, request, 2, details);
        }
        assert_eq!(unpaid, 1, "in turn: {in_turn}");
    }
}

#[test]
fn what_somebody_before_the_router_answers_pays_nothing_in() {
    for written in [false, true] {
        let mut scene = Scene::of(1, true);
        scene.good(2);
        for _ in 0..200 {
            let mut request = sent(&mut scene);
            if written {
                // An attempt of nobody's fails meanwhile: a mirror's.
                let nobody = Request::new(&scene.process, "shop", &GET);
                let mut attempt = nobody.attempt(1);
                assert!(attempt.send(&mut scene.up, true));
                attempt.done(&mut scene.up);
                ends_unseen(&mut scene, request, 0, "direct_response");
                continue;
            }
            request.respond(&mut scene.down, 200, &[]);
            request.end(&mut scene.down);
        }
        let open = scene.open();
        assert!(
            !scene.finish(open, 503),
            "three requests do not pay for a retry; written: {written}"
        );
    }
}

#[test]
fn attempts_of_nobody_do_not_stand_for_those_of_requests_that_were_not_sent() {
    let mut scene = Scene::of(1, true);
    scene.good(2);
    let open = scene.open();
    for _ in 0..300 {
        let mirrored = Request::new(&scene.process, "shop", &GET);
        let mut attempt = mirrored.attempt(1);
        assert!(attempt.send(&mut scene.up, true));
        attempt.respond(&mut scene.up, 200, &[]);
        attempt.done(&mut scene.up);
    }
    scene.finish(open, 200);
    for _ in 0..200 {
        let mut request = sent(&mut scene);
        request.respond(&mut scene.down, 200, &[]);
        request.end(&mut scene.down);
    }
    let open = scene.open();
    assert!(
        !scene.finish(open, 503),
        "four requests do not pay for a retry"
    );
}
