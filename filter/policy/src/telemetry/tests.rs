//! The table of families: each stands in the documentation with its labels, and each event has the values that its family needs.

use std::collections::BTreeSet;

use super::*;
use crate::environment::MetricKind;
use crate::fallback::Cause;
use crate::outcome::Ignored;
use crate::retry::attempts::Denial;

const DOCS: &str = include_str!("../../../../docs/configuration.md");

#[test]
fn every_family_stands_in_the_documentation_with_its_labels_and_no_other_does() {
    let rows = DOCS.lines().filter(|line| line.starts_with("| `seawall_"));
    let mut documented = BTreeSet::new();
    for row in rows {
        let (names, labels) = row[2..].split_once(" | ").expect("two columns");
        for name in names.split(", ") {
            let name = name.trim_matches('`');
            let family = families::ALL.iter().find(|family| family.name == name);
            let family = family.unwrap_or_else(|| panic!("{name} is no family"));
            let lacks = family.labels.iter().find(|label| !labels.contains(*label));
            assert_eq!(lacks, None, "{row}");
            documented.insert(family.name);
        }
    }
    let all: BTreeSet<&str> = families::ALL.iter().map(|family| family.name).collect();
    assert_eq!(documented, all);
    assert_eq!(all.len(), families::ALL.len(), "each once");
}

#[test]
fn every_event_has_a_value_for_each_label_of_its_family() {
    let events = [
        Event::Admitted,
        Event::Refused(Reason::Deadline),
        Event::Marked(Reason::ShedLoad),
        Event::Outcome(Outcome::Slow),
        Event::Ignored(Ignored::ClientGone),
        Event::MarkedOutcome(Outcome::Success),
        Event::Fallback("stale", Cause::Open),
        Event::Transition(Phase::Closed, Phase::Open),
        Event::Probe(true),
        Event::Probe(false),
        Event::Forced("open"),
        Event::HalfOpenStarved,
        Event::RetryGranted,
        Event::RetryDenied(Denial::Attempts),
        Event::RetryMarked(Denial::Attempts),
        Event::RetryRefunded,
        Event::RetryCharged,
    ];
    for event in events {
        let (family, values) = event.series();
        let said = values.iter().filter(|value| !value.is_empty()).count();
        assert_eq!(family.labels[..2], ["policy", "upstream"], "{event:?}");
        assert_eq!(said + 2, family.labels.len(), "{event:?}");
        assert_eq!(family.kind, MetricKind::Counter, "{event:?}");
    }
    let own = [
        InternalEvent::UndecidedHost,
        InternalEvent::UndecidedLater,
        InternalEvent::LostRaces,
        InternalEvent::RecordReplaced,
        InternalEvent::OverLimit,
        InternalEvent::UnknownPolicy,
        InternalEvent::SettlementDropped,
        InternalEvent::Expired,
        InternalEvent::ControlHeader,
        InternalEvent::HedgeNotAllowed,
        InternalEvent::Crowded,
        InternalEvent::Misrouted,
        InternalEvent::Stale("kept"),
        InternalEvent::ForceRefused("token"),
        InternalEvent::HostError("log"),
    ];
    for event in own {
        let (family, value) = event.series();
        assert_eq!(!value.is_empty(), !family.labels.is_empty(), "{event:?}");
    }
}

#[test]
fn a_series_is_named_by_its_family_and_its_labels() {
    let family = families::ALL[0];
    let series = family.series(&["p", "u", "refused", "deadline"]);
    assert_eq!(
        series,
        "seawall_decisions..policy=p..upstream=u..decision=refused..reason=deadline"
    );
    assert_eq!(label("a..b c"), "a._b_c");
}
