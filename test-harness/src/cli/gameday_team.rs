//! The team at the terminal: what it is told, what it is asked, and how long it waits.

use std::fmt::Write as _;
use std::time::Duration;

use super::gameday_events::{Events, Next};
use crate::gameday::markdown::clock;
use crate::gameday::{Happened, Phase, Question, Reply, Sign, Team};

/// So many lines of the log are shown of each phase.
const LINES: usize = 8;

/// Says something to the team; on standard error where standard output is for the record.
pub(super) fn show(aside: bool, text: &str) {
    match aside {
        true => eprintln!("{text}"),
        false => crate::stdout::text(&format!("{text}\n")),
    }
}

/// When phases begin.
pub(super) struct Pace {
    events: Events,
    speed: Option<f64>,
    aside: bool,
}

impl Pace {
    /// So many times as fast as the clock; none is at once. What is told is on standard error where standard output is for the record.
    pub(super) fn new(mut events: Events, speed: Option<f64>, aside: bool) -> Self {
        events.begin();
        Self {
            events,
            speed,
            aside,
        }
    }

    /// Waits until a phase begins, and tells of it. False if somebody ended it.
    pub(super) fn begin(&mut self, number: usize, phase: &Phase, happened: &Happened) -> bool {
        let due = self.speed.map(|speed| phase.at as f64 / 1e9 / speed);
        let goes_on = self
            .events
            .wait(due.map_or(Duration::ZERO, Duration::from_secs_f64));
        if goes_on {
            show(self.aside, &told(number, phase, happened));
        }
        goes_on
    }

    fn ask(&mut self, text: &str) -> Reply {
        match self.aside {
            true => eprint!("{text} "),
            false => crate::stdout::text(&format!("{text} ")),
        }
        match self.events.next() {
            Next::Line(line) if line.trim().is_empty() => Reply::Nothing,
            Next::Line(line) => Reply::Said {
                text: line.trim().to_owned(),
                hinted: false,
            },
            Next::NoMore => {
                show(self.aside, "");
                Reply::Nothing
            }
            Next::Stop => {
                show(self.aside, "");
                Reply::Interrupted
            }
        }
    }
}

/// What a team is told of a phase.
fn told(number: usize, phase: &Phase, happened: &Happened) -> String {
    let at = |nanos: u64| clock(nanos / 1_000_000);
    let mut text = format!(
        "\n[{} to {}] {}. {}\n  {}\n",
        at(phase.at),
        at(phase.to),
        number + 1,
        phase.name,
        phase.told
    );
    for inject in &phase.inject {
        let _ = writeln!(text, "  {} {}", at(inject.at), inject.what);
    }
    let figures = happened.figures.iter();
    let figures = figures.map(|told| format!("{} {}", told.figure.name(), told.shown));
    let figures: Vec<String> = figures.collect();
    let _ = writeln!(text, "  figures: {}", figures.join(", "));
    let _ = writeln!(text, "  breaker at the end: {}", happened.state);
    let made = &happened.transitions;
    for made in made.iter().take(LINES) {
        let _ = writeln!(text, "  {} {}", clock(made.at_ms), made.line);
    }
    if made.len() > LINES {
        let _ = writeln!(text, "  and {} more such lines", made.len() - LINES);
    }
    if let Some(escalation) = &phase.escalation {
        let _ = writeln!(text, "  escalation: {escalation}");
    }
    text.pop();
    text
}

/// A team that types.
pub(super) struct Terminal(pub(super) Pace);

impl Team for Terminal {
    fn begin(&mut self, number: usize, phase: &Phase, happened: &Happened) -> bool {
        self.0.begin(number, phase, happened)
    }

    fn saw(&mut self, _: &Phase, sign: Sign, what: &str) -> Reply {
        self.0.ask(&format!("  {sign}: {what}\n    who saw it?"))
    }

    fn answer(&mut self, _: &Phase, question: &Question) -> Reply {
        let mut text = format!("  {}", question.ask);
        for (number, choice) in question.choices.iter().enumerate() {
            let _ = write!(text, "\n    {}: {choice}", number + 1);
        }
        text.push_str("\n   ");
        let mut hinted = false;
        loop {
            match self.0.ask(&text) {
                Reply::Said { text: said, .. } if said == "?" => {
                    hinted |= question.hint.is_some();
                    let hint = question.hint.as_deref().unwrap_or("there is none");
                    text = format!("    hint: {hint}\n   ");
                }
                Reply::Said { text, .. } => return Reply::Said { text, hinted },
                other => return other,
            }
        }
    }
}
