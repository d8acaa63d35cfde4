//! Every pair of reasons to refuse a request: which one wins, what the loser had taken and gives back, what is counted.

use std::rc::Rc;

use seawall_policy::admission::Reason;
use seawall_policy::time::Span;
use serde_json::{Value, json};

use seawall_native::{Process, Request, Worker};

/// A cluster whose every request meets these reasons.
struct Scene {
    process: Rc<Process>,
    worker: Worker,
    /// Another worker, whose configuration does not force the breaker open: it brings about what holds besides.
    other: Option<Worker>,
    /// Requests that are on their way.
    beside: Vec<Request>,
    request: Vec<(&'static str, String)>,
    complete: bool,
}

/// What is never shed by load.
const FIRST: [(&str, &str); 1] = [("x-seawall-priority", "critical_plus")];

fn is_breaker(reason: Reason) -> bool {
    use Reason::{BreakerForcedOpen, BreakerHalfOpen, BreakerOpen, BreakerRamp};
    matches!(
        reason,
        BreakerOpen | BreakerHalfOpen | BreakerRamp | BreakerForcedOpen
    )
}

/// What the policy says so that a request can be refused for this reason.
fn policy(reason: Reason) -> Value {
    match reason {
        Reason::BreakerOpen | Reason::BreakerHalfOpen | Reason::BreakerRamp => json!({}),
        Reason::BreakerForcedOpen => json!({"breaker": {"mode": "forced_open"}}),
        Reason::Deadline => json!({"timeout": {"doomed_under": "50ms"}}),
        Reason::BulkheadFull => json!({"bulkhead": {"max_concurrent": 2, "unfinished": 100}}),
        Reason::ShedLimit => json!({"shedding": {"limit": "fixed", "max": 2, "unfinished": 100}}),
        Reason::ShedLoad => {
            json!({"shedding": {"limit": "fixed", "max": 1000, "load_over": 10, "unfinished": 100}})
        }
        Reason::Unfinished => json!({"bulkhead": {"max_concurrent": 4, "unfinished": 50}}),
    }
}

/// `under` with what `over` says.
fn merged(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merged(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// A worker with this policy.
fn configured(process: &Rc<Process>, settings: &Value) -> Worker {
    let configuration = json!({
        "version": 1,
        "trust": {"addresses": ["10.0.0.1"]},
        "policies": {"p": settings},
        "upstreams": [{"cluster": "*", "policy": "p"}],
    });
    Worker::new(process, &configuration.to_string(), 1).expect("a valid configuration")
}

impl Scene {
    fn of(reasons: &[Reason]) -> Self {
        let mut settings = json!({
            "breaker": {"minimum_calls": 1000, "half_open": {"permits": 1}, "open": {"jitter": 0, "for": "1s"}, "hosts": {"grace": "0s"}},
            "fallback": [],
        });
        for reason in reasons {
            merged(&mut settings, policy(*reason));
        }
        let both = |one, other| reasons.contains(&one) && reasons.contains(&other);
        if both(Reason::BulkheadFull, Reason::Unfinished) {
            merged(
                &mut settings,
                json!({"bulkhead": {"max_concurrent": 2, "unfinished": 50}}),
            );
        }
        if both(Reason::ShedLoad, Reason::ShedLimit) {
            merged(&mut settings, json!({"shedding": {"max": 2}}));
        }
        let process = super::process();
        let worker = configured(&process, &settings);
        let other = reasons.contains(&Reason::BreakerForcedOpen).then(|| {
            settings["breaker"]["mode"] = json!("enforce");
            configured(&process, &settings)
        });
        let mut scene = Self {
            process,
            worker,
            other,
            beside: Vec::new(),
            request: Vec::new(),
            complete: true,
        };
        // What needs responses comes first, what only holds something last.
        let order = |reason: &Reason| (!is_breaker(*reason), *reason != Reason::ShedLoad, *reason);
        let mut reasons = reasons.to_vec();
        reasons.sort_by_key(order);
        reasons.dedup();
        if reasons.contains(&Reason::ShedLoad) {
            scene.report_load();
        }
        for reason in reasons {
            scene.prepare(reason);
        }
        scene
    }

    fn call(&self, headers: &[(&str, &str)]) -> Request {
        let mut all = vec![(":method", "GET"), (":path", "/"), (":authority", "shop")];
        all.extend(headers);
        Request::new(&self.process, "shop", &all)
    }

    fn fail(&mut self) {
        for _ in 0..20 {
            self.call(&FIRST).whole(&mut self.worker, 503);
        }
    }

    fn report_load(&mut self) {
        for _ in 0..50 {
            let mut call = self.call(&FIRST);
            let worker = self.other.as_mut().unwrap_or(&mut self.worker);
            assert!(call.send(worker, true));
            let load = [("endpoint-load-metrics", "TEXT application_utilization=1.0")];
            call.respond(worker, 200, &load);
            call.end(worker);
            let mut shed = self.call(&[("x-seawall-priority", "sheddable")]);
            let worker = self.other.as_mut().unwrap_or(&mut self.worker);
            shed.send(worker, true);
            shed.end(worker);
            self.process.pass(Span::millis(200));
            self.worker.tick();
        }
    }

    fn prepare(&mut self, reason: Reason) {
        match reason {
            Reason::BreakerForcedOpen => {}
            Reason::BreakerOpen => self.fail(),
            Reason::BreakerHalfOpen => {
                self.fail();
                self.process.pass(Span::millis(1_100));
                self.worker.tick();
                let mut probe = self.call(&FIRST);
                assert!(
                    probe.send(&mut self.worker, true),
                    "the probe goes: {:?}",
                    probe.known.borrow().log
                );
                self.beside.push(probe);
            }
            Reason::BreakerRamp => {
                self.fail();
                self.process.pass(Span::millis(1_100));
                self.worker.tick();
                assert!(
                    self.call(&FIRST).whole(&mut self.worker, 200),
                    "the probe goes"
                );
                self.worker.tick();
                // One in ten goes; this id is not among them.
                self.request
                    .push(("x-request-id", "refused-by-the-ramp-0".to_owned()));
            }
            Reason::Deadline => {
                self.request
                    .push(("content-type", "application/grpc".to_owned()));
                self.request.push(("grpc-timeout", "10m".to_owned()));
            }
            Reason::BulkheadFull | Reason::ShedLimit => self.hold(true, 2),
            Reason::ShedLoad => {
                self.request
                    .push(("x-seawall-priority", "sheddable".to_owned()));
            }
            Reason::Unfinished => {
                self.complete = false;
                self.hold(false, 2);
            }
        }
    }

    /// Requests hold slots, as many as the policy has: those of the highest priority, and one in ten that the ramp lets go.
    fn hold(&mut self, complete: bool, count: usize) {
        for number in 0..200 {
            if self.beside.len() >= count {
                return;
            }
            let id = format!("holder-{number}");
            let first = [
                ("x-request-id", id.as_str()),
                ("x-seawall-priority", "critical_plus"),
            ];
            let mut call = self.call(&first);
            let worker = self.other.as_mut().unwrap_or(&mut self.worker);
            if call.send(worker, complete) {
                self.beside.push(call);
            } else {
                call.end(worker);
            }
        }
    }

    fn ask(&mut self) -> Request {
        let request: Vec<_> = self
            .request
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut call = self.call(&request);
        call.send(&mut self.worker, self.complete);
        call
    }

    /// All that is on its way ends well.
    fn drain(&mut self) {
        for mut call in std::mem::take(&mut self.beside) {
            let worker = self.other.as_mut().unwrap_or(&mut self.worker);
            call.respond(worker, 200, &[]);
            call.end(worker);
        }
        // What was held in advance goes back with the second tick.
        for _ in 0..2 {
            if let Some(other) = &mut self.other {
                other.tick();
            }
            self.process.pass(Span::millis(400));
            self.worker.tick();
        }
    }
}

/// Why a request was refused; nothing if it went.
fn refused(call: &Request) -> Option<String> {
    call.reply()?;
    call.known.borrow().log.get("seawall.reason").cloned()
}

/// The order in which they are asked: the first of two that hold refuses.
const ORDER: [&[Reason]; 6] = [
    &[Reason::Deadline],
    &[
        Reason::BreakerForcedOpen,
        Reason::BreakerOpen,
        Reason::BreakerHalfOpen,
        Reason::BreakerRamp,
    ],
    &[Reason::BulkheadFull],
    &[Reason::ShedLimit],
    &[Reason::ShedLoad],
    &[Reason::Unfinished],
];

fn rank(reason: Reason) -> (usize, usize) {
    let found = ORDER.iter().enumerate().find_map(|(stage, reasons)| {
        Some((stage, reasons.iter().position(|known| *known == reason)?))
    });
    found.unwrap_or_else(|| panic!("{} has no place in the order", reason.name()))
}

#[test]
fn each_reason_alone_refuses_and_is_counted() {
    for reason in Reason::ALL {
        let mut scene = Scene::of(&[reason]);
        let mut call = scene.ask();
        assert_eq!(refused(&call).as_deref(), Some(reason.name()));
        call.end(&mut scene.worker);
        scene.drain();
        let counted = scene
            .worker
            .counted(&["decision=refused", &format!("reason={}", reason.name())]);
        assert!(counted >= 1, "{}", reason.name());
    }
}

#[test]
fn of_two_reasons_the_earlier_one_refuses_and_the_later_one_is_not_counted() {
    for (number, one) in Reason::ALL.into_iter().enumerate() {
        for other in Reason::ALL.into_iter().skip(number + 1) {
            // A breaker is in one state at a time.
            if is_breaker(one) && is_breaker(other) {
                continue;
            }
            let pair = format!("{} and {}", one.name(), other.name());
            let (first, second) = match rank(one) < rank(other) {
                true => (one, other),
                false => (other, one),
            };
            let mut scene = Scene::of(&[one, other]);
            scene.worker.tick();
            let before = scene
                .worker
                .counted(&["decision=refused", &format!("reason={}", second.name())]);
            let mut call = scene.ask();
            assert_eq!(refused(&call).as_deref(), Some(first.name()), "{pair}");
            call.end(&mut scene.worker);
            scene.process.pass(Span::millis(400));
            scene.worker.tick();
            let after = scene
                .worker
                .counted(&["decision=refused", &format!("reason={}", second.name())]);
            assert_eq!(after, before, "{pair}: only the first is counted");
        }
    }
}

#[test]
fn nothing_is_held_by_a_request_that_was_refused() {
    for (number, one) in Reason::ALL.into_iter().enumerate() {
        for other in Reason::ALL.into_iter().skip(number) {
            if is_breaker(one) && is_breaker(other) && one != other {
                continue;
            }
            let mut scene = Scene::of(&[one, other]);
            for _ in 0..5 {
                let mut call = scene.ask();
                assert!(call.reply().is_some());
                call.end(&mut scene.worker);
            }
            scene.drain();
            scene.worker.tick();
            let in_flight = scene.worker.counted(&["seawall_in_flight"]);
            assert_eq!(in_flight, 0, "{} and {}", one.name(), other.name());
        }
    }
}

/// A cluster whose slots are full for some requests and not for all.
fn partly_full(reason: Reason) -> (Value, Vec<(&'static str, &'static str)>) {
    match reason {
        Reason::BulkheadFull => (
            json!({"bulkhead": {"max_concurrent": 2, "per": {"header": "tenant"}, "unfinished": 100}}),
            vec![("tenant", "a")],
        ),
        Reason::ShedLimit => (
            json!({"shedding": {"limit": "fixed", "max": 4, "load_over": 0, "unfinished": 100}}),
            vec![("x-seawall-priority", "sheddable")],
        ),
        Reason::ShedLoad => (policy(reason), vec![("x-seawall-priority", "sheddable")]),
        _ => (policy(reason), vec![]),
    }
}

#[test]
fn a_permit_goes_back_where_the_slots_are_taken() {
    for full in Reason::ALL {
        if is_breaker(full) || full == Reason::Deadline {
            // No permit is taken before them.
            continue;
        }
        let mut scene = Scene::of(&[]);
        let (settings, asking) = partly_full(full);
        let mut all = json!({"breaker": {
            "minimum_calls": 1000, "consecutive": 1, "half_open": {"permits": 1}, "open": {"jitter": 0, "for": "1s"}, "hosts": {"grace": "0s"},
        }});
        merged(&mut all, settings);
        scene.worker = configured(&scene.process, &all);
        scene.complete = full != Reason::Unfinished;
        if full == Reason::ShedLoad {
            scene.report_load();
        }
        for _ in 0..2 {
            let first = [("tenant", "a"), ("x-seawall-priority", "critical_plus")];
            let mut holder = scene.call(&first);
            assert!(holder.send(&mut scene.worker, scene.complete));
            scene.beside.push(holder);
        }
        let other = [("tenant", "b"), ("x-seawall-priority", "critical_plus")];
        assert!(scene.call(&other).whole(&mut scene.worker, 503));
        assert!(!scene.call(&other).whole(&mut scene.worker, 503), "open");
        scene.process.pass(Span::millis(1_100));
        // What is not complete waits a second for a permit, and once one was wasted for its turn.
        let waits = full == Reason::Unfinished;
        let mut reasons = Vec::new();
        for _ in 0..5 {
            let mut call = scene.call(&asking);
            assert!(
                !call.send(&mut scene.worker, scene.complete),
                "{}",
                full.name()
            );
            reasons.push(refused(&call).unwrap());
            call.end(&mut scene.worker);
            if waits {
                scene.process.pass(Span::millis(1_100));
            }
        }
        assert!(reasons.iter().any(|why| why == full.name()), "{reasons:?}");
        let expected = |why: &str| why == full.name() || (waits && why == "breaker_half_open");
        assert!(reasons.iter().all(|why| expected(why)), "{reasons:?}");
        let name = full.name();
        assert!(
            scene.call(&other).whole(&mut scene.worker, 200),
            "the permit is there: {name}"
        );
        scene.drain();
        assert_eq!(
            scene.worker.counted(&["seawall_transitions", "to=closed"]),
            1,
            "{name}"
        );
    }
}
