//! Slots that workers hold in advance: requests take them without a look at the record, never more than there are, and nobody is refused
//! for long because of what another worker holds idle.

use std::rc::Rc;

use proptest::prelude::*;
use seawall_native::{Headers, Process, Request, Worker};
use seawall_policy::concurrency::InFlightSlots;
use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::state::SharedState;
use seawall_policy::time::Span;
use serde_json::{Value, json};

use super::process;

const TICK: Span = Span::millis(400);

/// Several workers of one process, and what each has in flight.
struct Workers {
    process: Rc<Process>,
    all: Vec<(Worker, Vec<Request>)>,
}

impl Workers {
    fn start(process: Rc<Process>, count: usize, policy: &Value) -> Self {
        let configuration = json!({
            "version": 1,
            "trust": {"addresses": ["10.0.0.1"]},
            "policies": {"default": policy},
        });
        let worker = |seed| Worker::new(&process, &configuration.to_string(), seed);
        let all = (0..count as u64).map(|seed| worker(seed).expect("a valid configuration"));
        let all = all.map(|worker| (worker, Vec::new())).collect();
        let mut workers = Self { process, all };
        // Each is listed once it had a request and a tick.
        for worker in 0..count {
            assert!(workers.ask(worker));
            workers.end(worker, 0);
        }
        workers.tick();
        workers.tick();
        assert_eq!(workers.slots().in_flight(), 0);
        workers
    }

    fn bulkhead(count: usize, places: u32) -> Self {
        let policy = json!({"breaker": {"mode": "off"}, "bulkhead": {"max_concurrent": places}});
        Self::start(process(), count, &policy)
    }

    fn ask(&mut self, worker: usize) -> bool {
        self.ask_as(worker, "critical_plus")
    }

    fn ask_as(&mut self, worker: usize, priority: &str) -> bool {
        let lines = [
            (":method", "GET"),
            (":path", "/"),
            (":authority", "shop"),
            ("x-seawall-priority", priority),
        ];
        let mut request = Request::new(&self.process, "shop", &lines);
        let peer = b"10.0.0.1:99".to_vec();
        let known = Rc::clone(&request.known);
        let fact = seawall_policy::environment::facts::StreamFact::PeerAddress;
        known.borrow_mut().stream.insert(fact, peer);
        let (worker, flying) = &mut self.all[worker];
        let went = request.send(worker, true);
        match went {
            true => flying.push(request),
            false => request.end(worker),
        }
        went
    }

    fn end(&mut self, worker: usize, which: usize) {
        let (worker, flying) = &mut self.all[worker];
        if !flying.is_empty() {
            let mut request = flying.swap_remove(which % flying.len());
            request.respond(worker, 200, &[]);
            request.end(worker);
        }
    }

    fn tick_of(&mut self, worker: usize) {
        self.all[worker].0.tick();
    }

    fn tick(&mut self) {
        self.process.pass(TICK);
        (0..self.all.len()).for_each(|worker| self.tick_of(worker));
    }

    fn flying(&self) -> u32 {
        self.all.iter().map(|(_, flying)| flying.len() as u32).sum()
    }

    fn slots(&self) -> InFlightSlots {
        let key = keys::places(&keys::record("default", "shop", Part::Whole));
        let stored = self.process.shared.view(&key).expect("it can be read");
        stored.record.unwrap_or_default()
    }

    /// How often records are read while something is done.
    fn loads(&mut self, what: impl FnOnce(&mut Self)) -> u64 {
        let before = self.process.shared.loads();
        what(self);
        self.process.shared.loads() - before
    }
}

#[test]
fn under_half_of_the_limit_a_request_takes_its_slot_without_a_look_at_the_record() {
    let mut workers = Workers::bulkhead(2, 160);
    let turns = |workers: &mut Workers| {
        for _ in 0..200 {
            for worker in 0..2 {
                (0..20).for_each(|_| assert!(workers.ask(worker)));
                (0..20).for_each(|_| workers.end(worker, 0));
            }
        }
    };
    turns(&mut workers);
    let loads = workers.loads(turns);
    assert!(loads <= 20, "{loads} reads for 8,000 requests");
    // Those of a quiet worker go back.
    workers.tick();
    workers.tick();
    assert_eq!(workers.slots().in_flight(), 0);
}

#[test]
fn near_the_limit_slots_are_taken_and_given_back_one_by_one() {
    let mut workers = Workers::bulkhead(2, 160);
    (0..100).for_each(|_| assert!(workers.ask(0)));
    workers.tick();
    assert_eq!(workers.slots().in_flight(), 100);
    for _ in 0..20 {
        assert!(workers.ask(1));
        assert_eq!(workers.slots().in_flight(), 101);
        workers.end(1, 0);
        assert_eq!(workers.slots().in_flight(), 100);
    }
}

#[test]
fn where_the_counter_does_not_count_or_the_limit_is_small_nothing_is_held_in_advance() {
    let policy = json!({"breaker": {"mode": "off"}, "bulkhead": {"max_concurrent": 160}});
    let dropped = process();
    dropped.drop_counters();
    for mut workers in [
        Workers::start(dropped, 2, &policy),
        Workers::bulkhead(2, 31),
    ] {
        for in_flight in 1..=10 {
            assert!(workers.ask(0));
            assert_eq!(workers.slots().in_flight(), in_flight);
        }
        for in_flight in (0..10).rev() {
            workers.end(0, 0);
            assert_eq!(workers.slots().in_flight(), in_flight);
        }
    }
}

#[test]
fn a_worker_whose_root_goes_leaves_nothing_idle_behind() {
    let mut workers = Workers::bulkhead(2, 160);
    assert!(workers.ask(0));
    workers.end(0, 0);
    assert!(workers.slots().in_flight() > 0);
    workers.all[0].0.done();
    assert_eq!(workers.slots().in_flight(), 0);
}

#[test]
fn idle_slots_go_to_whoever_was_refused_with_the_next_request_or_tick_of_their_holder() {
    for tick in [true, false] {
        let mut workers = Workers::bulkhead(2, 160);
        (0..10).for_each(|_| assert!(workers.ask(0)));
        (0..10).for_each(|_| workers.end(0, 0));
        let idle = workers.slots().in_flight();
        assert!(idle > 0, "the first worker holds some idle");
        while workers.ask(1) {}
        assert_eq!(workers.flying(), 160 - idle);
        match tick {
            true => workers.tick_of(0),
            false => {
                assert!(workers.ask(0), "it has one of its own");
                workers.end(0, 0);
            }
        }
        (0..idle).for_each(|_| assert!(workers.ask(1)));
        assert!(!workers.ask(1));
        assert_eq!(workers.flying(), 160);
    }
}

#[test]
fn a_low_priority_has_its_share_again_after_a_tick_however_steadily_it_uses_its_slots() {
    let policy = json!({"breaker": {"mode": "off"}, "shedding": {"limit": "fixed", "max": 160,
        "priorities": {"header": "x-seawall-priority"}}});
    let mut workers = Workers::start(process(), 2, &policy);
    (0..20).for_each(|_| assert!(workers.ask_as(0, "sheddable")));
    // Nobody is refused, so that nothing tells the first worker of them.
    (0..139).for_each(|_| assert!(workers.ask_as(1, "critical_plus")));
    workers.tick();
    for _ in 0..20 {
        workers.end(0, 0);
        assert!(
            !workers.ask_as(0, "sheddable"),
            "{} in flight",
            workers.flying()
        );
    }
}

#[test]
fn what_a_request_says_of_the_limit_enters_once_until_whenever_it_holds_its_slot() {
    let entered = |until: &str| {
        let policy = json!({"breaker": {"mode": "off"}, "shedding": {"limit": "adaptive", "min": 5, "max": 400,
            "until": until}});
        let mut workers = Workers::start(process(), 1, &policy);
        for _ in 0..10 {
            assert!(workers.ask(0));
            let (worker, flying) = &mut workers.all[0];
            let mut request = flying.pop().expect("it went");
            request.response_headers(worker, Headers::of(&[(":status", "200")]), false);
            workers.process.pass(Span::millis(150));
            request.response_body(worker, b"x", false);
            request.response_body(worker, b"x", true);
            request.end(worker);
        }
        workers.tick();
        format!("{:?}", workers.slots().limiter)
    };
    let count = |text: &str| {
        let (_, after) = text.split_once("answered: ").expect("a window");
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().expect("a number")
    };
    let (headers, end) = (count(&entered("headers")), count(&entered("end")));
    assert_eq!(headers, end);
}

/// What happens: to which worker, which of its requests, with which priority.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Ask(usize, usize),
    End(usize, usize),
    /// So many requests of one worker, all of which end.
    Burst(usize, usize),
    Tick,
}

const PRIORITIES: [&str; 4] = ["critical_plus", "critical", "sheddable_plus", "sheddable"];
const SHARES: [u32; 4] = [100, 90, 70, 50];

fn turns(workers: usize) -> impl Strategy<Value = Vec<Turn>> {
    let one = prop_oneof![
        10 => (0..workers, 0..4_usize).prop_map(|(worker, rank)| Turn::Ask(worker, rank)),
        7 => (0..workers, any::<usize>()).prop_map(|(worker, which)| Turn::End(worker, which)),
        1 => (0..workers, 1..30_usize).prop_map(|(worker, count)| Turn::Burst(worker, count)),
        1 => Just(Turn::Tick),
    ];
    prop::collection::vec(one, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_more_are_in_flight_than_there_are_slots_and_a_false_refusal_lasts_a_tick_at_most(
        (turns, count) in (1..=4_usize).prop_flat_map(|count| (turns(count), Just(count))),
        limit in prop_oneof![1..20_u32, 20..200_u32],
    ) {
        let policy = json!({"breaker": {"mode": "off"}, "shedding": {"limit": "fixed", "max": limit,
            "priorities": {"header": "x-seawall-priority"}}});
        let mut workers = Workers::start(process(), count, &policy);
        let shares = SHARES.map(|share| (limit * share).div_ceil(100).max(1));
        for turn in turns {
            match turn {
                Turn::Ask(worker, rank) => {
                    let (before, out) = (workers.flying(), workers.slots().in_flight());
                    let (priority, share) = (PRIORITIES[rank], shares[rank]);
                    let went = workers.ask_as(worker, priority);
                    prop_assert!(!went || before < share || before < out, "{} of {} without an idle one", before, share);
                    if !went && before < share {
                        prop_assert!(before < out);
                        workers.tick();
                        prop_assert!(workers.ask_as(worker, priority), "{} of {} after a tick", before, share);
                    }
                }
                Turn::End(worker, which) => workers.end(worker, which),
                Turn::Burst(worker, count) => {
                    let went = (0..count).filter(|_| workers.ask(worker)).count();
                    (0..went).for_each(|_| {
                        let last = workers.all[worker].1.len() - 1;
                        workers.end(worker, last);
                    });
                }
                Turn::Tick => workers.tick(),
            }
            prop_assert!(workers.flying() <= limit);
            let out = workers.slots().in_flight();
            prop_assert!(workers.flying() <= out && out <= limit, "{} in flight, {} out", workers.flying(), out);
        }
        for worker in 0..count {
            while !workers.all[worker].1.is_empty() {
                workers.end(worker, 0);
            }
        }
        workers.tick();
        workers.tick();
        prop_assert_eq!(workers.slots().in_flight(), 0);
    }
}
