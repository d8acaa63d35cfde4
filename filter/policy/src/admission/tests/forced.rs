//! What an operator asks wins over the mode and over the breaker's state, for its time.

use super::*;
use crate::breaker::{FORCED_FOR_MAX, Force, Forced};

const MODES: [Mode; 4] = [
    Mode::Enforce(Share::ALL),
    Mode::Enforce(Share::percent(5)),
    Mode::Shadow,
    Mode::ForcedOpen,
];

fn ask(store: &Memory, mode: Mode, millis: u64) -> Decision {
    let policy = policy(mode);
    admit(store, &upstream(&policy), &request(u32::MAX), at(millis)).0
}

fn set(store: &Memory, force: Option<Force>, millis: u64) {
    let enforced = policy(Mode::Enforce(Share::ALL));
    let now = at(millis);
    let forced = force.map(|force| Forced::new(force, Span::secs(1), "ops", now.now));
    let report = super::force(store, &upstream(&enforced), forced.as_ref(), now);
    assert!(report.is_committed());
}

fn version(store: &Memory) -> u8 {
    store.load(K.as_str()).unwrap().expect("a record").bytes[2]
}

/// With a breaker that is closed, and one that is open.
fn stores() -> [Memory; 2] {
    let open = Memory::default();
    trip(&open, &upstream(&policy(Mode::Enforce(Share::ALL))));
    [Memory::default(), open]
}

#[test]
fn forced_open_refuses_in_every_mode_until_its_time_is_over() {
    for mode in MODES {
        for store in stores() {
            let before = ask(&store, mode, 100);
            set(&store, Some(Force::Open), 100);
            for millis in [100, 500, 1_099] {
                let refused = Decision::Refuse {
                    reason: Reason::BreakerForcedOpen,
                    retry_after: match mode {
                        Mode::ForcedOpen => policy(mode).breaker.open.base,
                        _ => Span::millis(1_100 - millis),
                    },
                };
                assert_eq!(ask(&store, mode, millis), refused, "{mode:?} at {millis}");
            }
            let same = std::mem::discriminant(&before);
            let after = ask(&store, mode, 1_100);
            assert_eq!(std::mem::discriminant(&after), same, "{mode:?}: {after:?}");
        }
    }
}

#[test]
fn forced_closed_lets_all_pass_in_every_mode_and_can_be_taken_back() {
    for mode in MODES {
        for store in stores() {
            let before = std::mem::discriminant(&ask(&store, mode, 100));
            set(&store, Some(Force::Closed), 100);
            let decision = ask(&store, mode, 500);
            assert!(
                matches!(decision, Decision::Admit(_)),
                "{mode:?}: {decision:?}"
            );
            set(&store, None, 600);
            let after = ask(&store, mode, 600);
            assert_eq!(
                std::mem::discriminant(&after),
                before,
                "{mode:?}: {after:?}"
            );
        }
    }
}

#[test]
fn an_inbound_request_that_the_policy_leaves_out_stays_out() {
    let [store, _] = stores();
    set(&store, Some(Force::Open), 0);
    let mut policy = policy(Mode::Enforce(Share::ALL));
    policy.breaker.inbound = false;
    let inbound = Request {
        inbound: true,
        ..request(0)
    };
    let (decision, _) = admit(&store, &upstream(&policy), &inbound, at(1));
    assert_eq!(decision, Decision::Admit(None));
}

#[test]
fn verdicts_count_beneath_it_so_that_the_breaker_stands_where_they_brought_it() {
    let store = Memory::default();
    let enforced = policy(Mode::Enforce(Share::ALL));
    set(&store, Some(Force::Closed), 0);
    for millis in 0..20 {
        let Decision::Admit(Some(permit)) = ask(&store, enforced.breaker.mode, millis) else {
            panic!("it does not pass");
        };
        fail(&store, &upstream(&enforced), permit, millis);
    }
    assert_eq!(store_phase(&store), Phase::Open);
    assert!(matches!(
        ask(&store, enforced.breaker.mode, 1_001),
        Decision::Refuse {
            reason: Reason::BreakerOpen,
            ..
        }
    ));
}

#[test]
fn what_is_over_leaves_the_record_and_what_lasts_longer_than_it_can_is_damage() {
    let [store, _] = stores();
    set(&store, Some(Force::Open), 0);
    assert_eq!(version(&store), 3);
    ask(&store, Mode::Shadow, 1_000);
    assert_eq!(version(&store), 2, "an earlier module can read it again");
    let enforced = policy(Mode::Enforce(Share::ALL));
    let late = at(0).now.after(FORCED_FOR_MAX);
    let forced = Forced::new(Force::Open, FORCED_FOR_MAX, "ops", late);
    super::force(&store, &upstream(&enforced), Some(&forced), at(0));
    let (decision, report) = admit(&store, &upstream(&enforced), &request(0), at(1));
    assert!(matches!(decision, Decision::Admit(Some(_))) && report.repaired);
}

#[test]
fn a_reset_takes_back_what_is_forced_and_lets_the_breaker_begin_closed_and_empty() {
    let enforced = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&enforced);
    for store in stores() {
        set(&store, Some(Force::Open), 100);
        let was = store_phase(&store);
        let generation = UpstreamView::of(&stored(&store), &upstream, at(100).now).generation;
        let report = super::reset(&store, &upstream, at(200));
        assert!(report.is_committed() && report.moved, "every worker looks");
        let made: Vec<_> = report
            .transitions
            .iter()
            .map(|made| (made.from, made.to))
            .collect();
        match was {
            Phase::Closed => assert_eq!(made, []),
            _ => assert_eq!(made, [(was, Phase::Closed)]),
        }
        let record = stored(&store);
        assert!(record.forced.is_none() && record.breaker.generation > generation);
        assert_eq!(store_phase(&store), Phase::Closed);
        assert!(matches!(
            ask(&store, enforced.breaker.mode, 201),
            Decision::Admit(Some(_))
        ));
    }
}

fn stored(store: &Memory) -> Record {
    let bytes = store.load(K.as_str()).unwrap().expect("a record").bytes;
    Record::decode(&bytes).expect("a record")
}
