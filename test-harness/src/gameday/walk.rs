//! A team is led through a scenario, phase by phase.

use std::collections::BTreeMap;

use super::phases::{Phase, Question, Sign};
use super::play::Happened;
use super::record::{
    Gap, Moment, PhaseRecord, QuestionRecord, Record, Score, Seen, Status, VERSION,
};
use super::scenario::Scenario;

/// What a team says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer, and whether the hint was taken.
    Said {
        /// The answer.
        text: String,
        /// Whether the hint was taken.
        hinted: bool,
    },
    /// Nothing.
    Nothing,
    /// It is to end here.
    Interrupted,
}

/// Those who play.
pub trait Team {
    /// A phase begins. False ends it here.
    fn begin(&mut self, number: usize, phase: &Phase, happened: &Happened) -> bool;
    /// Who saw this?
    fn saw(&mut self, phase: &Phase, sign: Sign, what: &str) -> Reply;
    /// What is the answer?
    fn answer(&mut self, phase: &Phase, question: &Question) -> Reply;
}

/// What a record says of the whole.
#[derive(Clone, Debug)]
pub struct Head {
    /// The day.
    pub day: String,
    /// Who does what.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The command that plays it again.
    pub reproduce: String,
}

/// Leads a team through a scenario that was played. What was asked before an interruption is in the record: nothing, where the
/// simulation was stopped.
pub fn walk(
    scenario: &Scenario,
    happened: Vec<Happened>,
    team: &mut dyn Team,
    head: Head,
) -> Record {
    let mut phases = Vec::new();
    let mut status = match happened.len() < scenario.phases.len() {
        true => Status::Interrupted,
        false => Status::Finished,
    };
    for (number, (phase, happened)) in scenario.phases.iter().zip(happened).enumerate() {
        if !team.begin(number, phase, &happened) {
            status = Status::Interrupted;
            break;
        }
        let mut record = PhaseRecord {
            name: phase.name.clone(),
            from_ms: phase.at / 1_000_000,
            to_ms: phase.to / 1_000_000,
            told: phase.told.clone(),
            escalation: phase.escalation.clone(),
            happened,
            seen: Vec::new(),
            questions: Vec::new(),
        };
        let goes_on = ask(phase, team, &mut record);
        phases.push(record);
        if !goes_on {
            status = Status::Interrupted;
            break;
        }
    }
    let score = score(scenario, &phases);
    let held = phases
        .iter()
        .all(|phase| phase.happened.holds.iter().all(|held| held.met));
    Record {
        version: VERSION,
        title: scenario.title.clone(),
        goal: scenario.goal.clone(),
        scenario: scenario.file.display().to_string(),
        runbook: scenario.runbook.display().to_string(),
        day: head.day,
        roles: head.roles,
        seed: scenario.experiment.seed(),
        reproduce: head.reproduce,
        passed: status == Status::Finished && held && score.percent >= score.pass_percent,
        status,
        score,
        timeline: timeline(scenario, &phases),
        gaps: phases.iter().flat_map(gaps).collect(),
        phases,
    }
}

/// Asks all of a phase. False if the team ended it.
fn ask(phase: &Phase, team: &mut dyn Team, record: &mut PhaseRecord) -> bool {
    for (sign, what) in phase.see.all() {
        let who = match team.saw(phase, sign, what) {
            Reply::Said { text, .. } => Some(text),
            Reply::Nothing => None,
            Reply::Interrupted => return false,
        };
        let mut made = record.happened.transitions.iter();
        let happened = (sign == Sign::Log).then(|| made.any(|made| made.line.contains(what)));
        record.seen.push(Seen {
            sign,
            what: what.to_owned(),
            who,
            happened,
        });
    }
    for question in &phase.questions {
        let (answer, hinted) = match team.answer(phase, question) {
            Reply::Said { text, hinted } => (Some(text), hinted),
            Reply::Nothing => (None, false),
            Reply::Interrupted => return false,
        };
        let given = answer.as_deref().unwrap_or_default();
        record.questions.push(QuestionRecord {
            id: question.id.clone(),
            ask: question.ask.clone(),
            points: question.score(given, hinted),
            of: question.points,
            answer: answer.map(|answer| match question.chosen(&answer) {
                Some(choice) => choice.to_owned(),
                None => answer,
            }),
            hinted,
            expected: question.expected(),
        });
    }
    true
}

/// A point for each thing that was seen, and those of the answers, of all that there are in the scenario.
fn score(scenario: &Scenario, phases: &[PhaseRecord]) -> Score {
    let mut points = 0.0;
    for phase in phases {
        let seen = phase.seen.iter().filter(|seen| seen.who.is_some()).count();
        let answers = phase.questions.iter().map(|question| question.points);
        points += seen as f64 + answers.sum::<f64>();
    }
    let mut of = 0.0;
    for phase in &scenario.phases {
        let questions = phase.questions.iter().map(|question| question.points);
        of += phase.see.all().count() as f64 + questions.sum::<f64>();
    }
    Score {
        points,
        of,
        percent: if of > 0.0 { 100.0 * points / of } else { 100.0 },
        pass_percent: scenario.pass,
    }
}

fn timeline(scenario: &Scenario, played: &[PhaseRecord]) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |at_ms: u64, what: String| moments.push(Moment { at_ms, what });
    for (phase, record) in scenario.phases.iter().zip(played) {
        add(record.from_ms, format!("phase: {}", phase.name));
        for inject in &phase.inject {
            add(inject.at / 1_000_000, format!("inject: {}", inject.what));
        }
        if let Some(escalation) = &phase.escalation {
            add(record.from_ms, format!("escalation: {escalation}"));
        }
        for made in &record.happened.transitions {
            let what = format!("breaker of {}: {}", made.upstream(), made.change);
            add(made.at_ms, what);
        }
    }
    moments.sort_by_key(|moment| moment.at_ms);
    moments
}

fn gaps(phase: &PhaseRecord) -> Vec<Gap> {
    let gap = |what: String, right: String| Gap {
        phase: phase.name.clone(),
        what,
        right,
    };
    let seen = phase.seen.iter().filter(|seen| seen.who.is_none());
    let unseen = seen.map(|seen| {
        let what = format!("nobody saw: {}", seen.what);
        gap(what, format!("it is seen in: {}", seen.sign))
    });
    let asked = phase.questions.iter();
    let asked = asked.filter(|question| {
        !question.hinted && question.points < question.of
            || question.hinted && question.points < question.of / 2.0
    });
    let unknown = asked.map(|question| {
        let answer = question.answer.as_deref();
        let answer = answer.map_or_else(
            || "no answer".to_owned(),
            |text| format!("answered: {text}"),
        );
        gap(
            format!("{} ({answer})", question.ask),
            question.expected.clone(),
        )
    });
    unseen.chain(unknown).collect()
}
