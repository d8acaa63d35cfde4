//! What a page says of upstreams in every state, and that it is JSON whatever stands in shared data and in names.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::breaker::{Admission, Asker, Force, Forced, Verdict};
use crate::limiter::{self, Limiter};
use crate::outcome::Outcome;
use crate::ratio::Share;
use crate::retry;
use crate::shared::record::RecordShape;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;
use crate::shedding::reported_load;
use crate::time::Span;
use seawall_page::{BYTES_MAX, Page, Viewer};

static KEY: Key<Record> = Key::test("seawall/v1/p/c");
static PLACES: Key<InFlightSlots> = Key::test("places");

fn policy() -> Policy {
    let mut policy = Policy {
        name: "p".to_owned(),
        retries: Some(retry::Settings::default()),
        ..Policy::default()
    };
    let breaker = &mut policy.breaker;
    breaker.ramp = Span::secs(10);
    breaker.host_grace = Span::ZERO;
    breaker.thresholds.consecutive = 3;
    breaker.open.base = Span::secs(5);
    breaker.open.jitter = Share::NONE;
    policy
}

fn at(millis: u64) -> Moment {
    Moment {
        now: Timestamp::nanos(1_000_000_000).after(Span::millis(millis)),
        draw: 0,
    }
}

fn upstream(policy: &Policy) -> UpstreamView<'_> {
    UpstreamView {
        policy,
        cluster: "c",
        part: None,
        key: Some(&KEY),
        places: None,
        position: "present",
    }
}

/// A record after these outcomes, a second apart.
fn record(policy: &Policy, outcomes: &[Outcome]) -> Record {
    let mut record = Record::new(RecordShape {
        configured_at: Timestamp::nanos(1),
        ahead: Span::MAX,
        alone: true,
        longest: Span::MAX,
        counting: true,
        geometry: policy.breaker.window,
        slice: policy
            .retries
            .as_ref()
            .map(|retries| retries.budget.slice()),
    });
    for (second, outcome) in outcomes.iter().enumerate() {
        let moment = at(1_000 * second as u64);
        let (admission, _) = record.breaker.admit(
            &policy.breaker,
            moment,
            9,
            0,
            Asker {
                peer: 0,
                complete: true,
            },
        );
        if let Admission::Admitted(permit) = admission {
            let verdict = Verdict {
                outcome: *outcome,
                host: 0,
                retry_after: None,
                peer: 0,
                silent: false,
            };
            record
                .breaker
                .settle(&policy.breaker, moment, permit, verdict);
        }
    }
    record
}

fn shown(store: &Memory, upstream: &UpstreamView<'_>, millis: u64) -> Value {
    let mut page = Page::new(&PendingWork::default().row(), Viewer::default());
    page.add(&row(store, upstream, at(millis)));
    let page: Value = serde_json::from_str(&page.end(0).body).expect("JSON");
    page["upstreams"][0].clone()
}

#[track_caller]
fn check(shown: &Value, expected: Value) {
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&shown[key], value, "{key} of {shown}");
    }
}

#[test]
fn every_state_is_shown_in_figures() {
    use Outcome::{Failure, Slow, Success};
    let (store, policy) = (Memory::default(), policy());
    let upstream = upstream(&policy);
    check(
        &shown(&store, &upstream, 0),
        json!({"state": "new", "policy": "p", "upstream": "c", "key": KEY.as_str()}),
    );

    let closed = record(&policy, &[Success, Slow, Failure, Failure]);
    store.swap(KEY.as_str(), &closed.encode(), 0).unwrap();
    check(
        &shown(&store, &upstream, 4_000),
        json!({"state": "closed", "mode": "enforce", "calls": 4, "failures": 2, "slow": 1, "failures_in_a_row": 2,
            "generation": 0, "retries_left": 0, "position": "present"}),
    );

    let open = record(&policy, &[Failure; 3]);
    store.swap(KEY.as_str(), &open.encode(), 0).unwrap();
    let seen = shown(&store, &upstream, 4_500);
    check(
        &seen,
        json!({"state": "open", "open_ms_left": 2_500, "trips": 1, "generation": 1, "calls": null}),
    );
    let seen = shown(&store, &upstream, 7_000);
    check(
        &seen,
        json!({"state": "half_open", "probes_in_flight": 0, "calls": 0, "generation": 2}),
    );
    let kept = store.load(KEY.as_str()).unwrap().unwrap();
    assert_eq!(kept.bytes, open.encode(), "nothing was stored");
}

#[test]
fn what_cannot_be_read_is_said_to_be_so() {
    let (store, policy) = (Memory::default(), policy());
    let upstream = upstream(&policy);
    store.swap(KEY.as_str(), b"rubbish", 0).unwrap();
    check(&shown(&store, &upstream, 0), json!({"state": "damaged"}));
    let stateless = UpstreamView {
        key: None,
        ..upstream
    };
    check(
        &shown(&store, &stateless, 0),
        json!({"state": "none", "key": null}),
    );
    store.refuse(true);
    check(&shown(&store, &upstream, 0), json!({"state": "unreadable"}));
}

#[test]
fn places_show_what_is_in_flight_and_how_loaded_the_upstream_is() {
    let (store, policy) = (Memory::default(), policy());
    let mut places = InFlightSlots {
        limiter: Some(Limiter::new(&limiter::Settings::default())),
        ..InFlightSlots::default()
    };
    for step in 0..40 {
        let report = reported_load::LoadReport {
            utilisation: 10_000,
            threshold: 8_000,
            ..reported_load::LoadReport::default()
        };
        places.load.report(&report, at(step * 50).now);
    }
    store.swap("places", &places.encode(), 0).unwrap();
    let upstream = UpstreamView {
        places: Some(&PLACES),
        ..upstream(&policy)
    };
    let seen = shown(&store, &upstream, 2_950);
    check(
        &seen,
        json!({"in_flight": 0, "utilisation_bp": 10_000, "reported_ms_ago": 1_000}),
    );
    assert!(seen["limit"].as_u64() > Some(0));
    let shed = |name: &str| seen["shed_bp"][name].as_u64();
    assert_eq!(shed("critical_plus"), Some(0));
    assert!(shed("sheddable") > Some(5_000), "{seen}");
}

#[test]
fn a_page_is_bounded_and_shows_what_could_not_be_stored() {
    let (store, policy) = (Memory::default(), policy());
    let upstream = upstream(&policy);
    let pending = PendingWork {
        parked: 3,
        ..PendingWork::default()
    };
    for html in [false, true] {
        let viewer = Viewer {
            html,
            ..Viewer::default()
        };
        let mut page = Page::new(&pending.row(), viewer);
        while page.has_room() {
            page.add(&row(&store, &upstream, at(0)));
        }
        let whole = page.end(7).body;
        assert!(whole.len() < BYTES_MAX + 2_000, "{}", whole.len());
        if !html {
            let page: Value = serde_json::from_str(&whole).expect("JSON");
            assert_eq!(page["worker"]["hedges_parked"], json!(3));
        }
    }
}

#[test]
fn a_part_of_a_cluster_is_shown() {
    let (store, policy) = (Memory::default(), policy());
    let upstream = UpstreamView {
        part: Some(("route", "r")),
        ..upstream(&policy)
    };
    check(&shown(&store, &upstream, 0), json!({"route": "r"}));
}

proptest! {
    #[test]
    fn whatever_stands_in_shared_data_a_page_is_json(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        millis in any::<u32>(),
    ) {
        let (store, policy) = (Memory::default(), policy());
        store.swap(KEY.as_str(), &bytes, 0).unwrap();
        store.swap("places", &bytes, 0).unwrap();
        let upstream = UpstreamView { places: Some(&PLACES), ..upstream(&policy) };
        shown(&store, &upstream, u64::from(millis));
    }
}

#[test]
fn what_an_operator_asks_is_shown_for_as_long_as_it_holds() {
    let policy = policy();
    let store = Memory::default();
    let mut record = record(&policy, &[]);
    let now = at(1_000).now;
    let forced = Forced::new(Force::Open, Span::secs(60), "ops \"on call\" <b>", now);
    record.forced = Some(Box::new(forced));
    store.put(KEY.as_str(), &record.encode());
    let upstream = upstream(&policy);
    check(
        &shown(&store, &upstream, 31_000),
        json!({"forced": {"to": "open", "ms_left": 30_000, "by": "ops \"on call\" <b>"}}),
    );
    assert_eq!(shown(&store, &upstream, 61_000)["forced"], Value::Null);
}
