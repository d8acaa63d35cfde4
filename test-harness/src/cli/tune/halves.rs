//! What a search sees of a trace, and what its proposal is judged on.

use anyhow::ensure;

use crate::cli::playing::Prepared;
use crate::fault::{Fault, Kind};
use crate::sim::{RecordedOutage, Scenario};
use crate::trace::{self, Facts, Outage, Request, Source};

/// A part of a trace, and what goes wrong in it.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) trace: Vec<Request>,
    pub(super) scenario: Scenario,
    pub(super) warnings: Vec<String>,
    outages: Vec<Outage>,
}

impl Part {
    /// All of it.
    pub(super) fn whole(prepared: &Prepared) -> Self {
        Self {
            trace: prepared.trace.collect(),
            scenario: prepared.scenario.clone(),
            warnings: Vec::new(),
            outages: prepared.outages.clone(),
        }
    }

    /// From now on this is what is played.
    pub(super) fn take_the_place(self, prepared: &mut Prepared) {
        let mut facts = Facts::default();
        self.trace.iter().for_each(|request| facts.add(request));
        prepared.facts = facts;
        prepared.trace = Source::held(self.trace);
        prepared.scenario = self.scenario;
        prepared.outages = self.outages;
    }

    /// These requests of it, from a time on.
    fn of(&self, requests: &[Request], begin_us: u64) -> Self {
        let mut trace = requests.to_vec();
        for request in &mut trace {
            request.at_us -= begin_us;
        }
        let outages = trace::outages(&trace);
        let mut scenario = self.scenario.clone();
        scenario.recorded = scenario.recorded.map(|_| recorded(&outages));
        Self {
            trace,
            scenario,
            warnings: Vec::new(),
            outages,
        }
    }
}

/// The times in which a trace says that a cluster is sick.
fn recorded(outages: &[Outage]) -> Vec<RecordedOutage> {
    outages.iter().map(RecordedOutage::from).collect()
}

/// The two halves of a trace by time. What goes wrong in the second one is of another kind.
pub(super) fn halves(whole: Part, fault: Option<&Fault>) -> anyhow::Result<(Part, Part)> {
    let end = whole.trace.last().map_or(0, |last| last.at_us);
    let middle = end / 2;
    let cut = whole
        .trace
        .partition_point(|request| request.at_us < middle);
    let (before, after) = whole.trace.split_at(cut);
    ensure!(
        !before.is_empty() && !after.is_empty(),
        "--holdout: the trace is too short to be halved"
    );
    let seen = whole.of(before, 0);
    let mut judged = whole.of(after, middle);
    judged.scenario.faults = match fault {
        Some(fault) => vec![fault.clone()],
        None => whole.scenario.faults.iter().map(third).collect(),
    };
    let sick = |part: &Part| part.scenario.faulty();
    ensure!(
        sick(&seen).is_some(),
        "--holdout: nothing goes wrong in the first half: name it with --fault KIND,at=TIME,for=TIME, or re-enact a log with --access-log"
    );
    ensure!(
        sick(&judged).is_some(),
        "--holdout: nothing goes wrong in the second half, so nothing is judged: name it with --holdout=KIND,at=TIME,for=TIME"
    );
    for (part, name) in [(&seen, "first"), (&judged, "second")] {
        if let Some((_, end)) = sick(part) {
            let seconds = middle as f64 / 1e6;
            ensure!(
                end <= middle.saturating_mul(1_000),
                "--holdout: what goes wrong ends {:.1} s into the {name} half of the trace, which has {seconds:.1} s: it must be over before",
                end as f64 / 1e9
            );
        }
    }
    Ok((seen, judged))
}

/// What is late by less is no outage, in nanoseconds.
const LATE: u64 = 5_000_000_000;

/// The same outage as another kind, which a search plays too: what fails at once hangs, and all else fails at once.
pub(super) fn second(fault: &Fault) -> Fault {
    let kind = match fault.kind {
        Kind::Hang | Kind::Latency | Kind::Slow | Kind::Crash => Kind::Errors,
        _ => Kind::Hang,
    };
    Fault {
        kind,
        ..fault.clone()
    }
}

/// The same outage as a kind that no search of it plays: what is late or slow hangs, and all else is late.
fn third(fault: &Fault) -> Fault {
    let kind = match fault.kind {
        Kind::Latency | Kind::Slow => Kind::Hang,
        _ => Kind::Latency,
    };
    Fault {
        kind,
        by: fault.by.max(LATE),
        ..fault.clone()
    }
}
