//! What chance does: independent failures under the threshold open nothing, a dead upstream with few requests is seen.
//!
//! 200 requests a second keep 2,000 in the window of ten seconds, so that the rate in it is within 1.1 % of the true one
//! (one standard deviation at 40 %) and 50 % is nine deviations away. Before the failures begin, the window is full: with
//! 20 calls in it, ten failures of 20 come by chance at 40 % in one window of four, and that is what `minimum_calls` says.

use std::cell::Cell;

use seawall_policy::admission::{self, Decision, MayHold, Request, Settlement};
use seawall_policy::breaker::{Asker, Moment, Phase, Verdict};
use seawall_policy::outcome::Outcome;
use seawall_policy::policy::Policy;
use seawall_policy::shared::governed_upstream::GovernedUpstream;
use seawall_policy::shared::leases::LocalLease;
use seawall_policy::time::{Span, Timestamp};

use crate::shared::Shared;

struct Run<'a> {
    policy: &'a Policy,
    now: Cell<Span>,
    draws: Cell<u64>,
    percent: Cell<u64>,
    requests: Cell<u32>,
    phase: Cell<Option<Phase>>,
}

impl<'a> Run<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            now: Cell::new(Span::secs(100)),
            draws: Cell::new(0x2545_f491_4f6c_dd1d),
            percent: Cell::new(0),
            requests: Cell::new(0),
            phase: Cell::new(None),
        }
    }

    fn draw(&self) -> u64 {
        let mut x = self.draws.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.draws.set(x);
        x
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Timestamp::ZERO.after(self.now.get()),
            draw: 0,
        }
    }

    /// One request of a worker, from its admission to its verdict.
    fn request(&self, store: &Shared<'_>, worker: u64) {
        let place = GovernedUpstream {
            dead: &[],
            policy: self.policy,
            key: Some(&crate::shared::KEY),
            standing: &const {
                seawall_policy::shared::configurations::Standing::since(Timestamp::nanos(1))
            },
        };
        let request = Request {
            inbound: false,
            asker: Asker {
                peer: 0,
                complete: true,
            },
            deposits: 0,
            draw: 0,
            local_permits: LocalLease::none((worker + 1) << 8),
            may_hold: MayHold::Yes,
        };
        let (decision, _) = admission::admit(store, &place, &request, self.moment());
        let Decision::Admit(Some(permit)) = decision else {
            self.phase.set(Some(Phase::Open));
            return;
        };
        let failed = (self.draw() >> 11) % 100 < self.percent.get();
        let verdict = Verdict {
            outcome: match failed {
                true => Outcome::Failure,
                false => Outcome::Success,
            },
            host: 0,
            retry_after: None,
            peer: 0,
            silent: false,
        };
        let settlement = Settlement::Verdict(verdict);
        let notes = admission::settle(store, &place, permit, settlement, self.moment());
        assert!(notes.is_committed());
        self.requests.set(self.requests.get() + 1);
        self.phase.set(notes.phase);
    }
}

/// Requests at this rate from so many workers, of which every other one comes in between another's load and swap. Where it
/// opened, after how many.
fn opened(policy: &Policy, workers: u64, per_second: u64, percent: u64, count: u32) -> Option<u32> {
    let run = Run::new(policy);
    let store = Shared::default();
    let gap = Span::nanos(1_000_000_000 / per_second);
    while run.requests.get() < count {
        let worker = u64::from(run.requests.get()) % workers;
        run.now.set(run.now.get().plus(gap));
        if run.now.get() > Span::secs(110) {
            run.percent.set(percent);
        }
        let other = run.draw() % workers;
        if other != worker && run.draw().is_multiple_of(2) {
            let run = &run;
            store.intrude(move |store| run.request(store, other));
        }
        run.request(&store, worker);
        if run.phase.get() == Some(Phase::Open) {
            return Some(run.requests.get());
        }
    }
    assert!(
        workers == 1 || store.lost.get() > count / 10,
        "nobody came in between"
    );
    None
}

#[test]
fn independent_failures_below_the_threshold_open_nothing_in_a_million_requests() {
    let policy = Policy::default();
    for workers in [1, 8] {
        for percent in [20, 30, 40] {
            let opened = opened(&policy, workers, 200, percent, 1_000_000);
            assert_eq!(opened, None, "{percent} % from {workers} workers");
        }
    }
}

#[test]
fn seven_failures_in_a_row_open_where_there_are_few_requests() {
    let policy = Policy::default();
    for workers in [1, 8] {
        // The failures begin with the eleventh request.
        assert_eq!(opened(&policy, workers, 1, 100, 60).map(|_| ()), Some(()));
    }
    assert_eq!(opened(&policy, 1, 1, 100, 17), Some(17));
    assert_eq!(opened(&policy, 1, 1, 100, 16), None);
}

#[test]
fn a_dead_upstream_with_many_requests_opens_by_its_rate() {
    let policy = Policy::default();
    let after = opened(&policy, 1, 200, 100, 10_000).expect("it opens");
    // 2,000 good ones stood in the window; it is half full of bad ones five seconds later.
    assert!((2_900..3_200).contains(&after), "{after}");
}
