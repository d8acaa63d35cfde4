//! The record as people read it, with a review to fill in.

use std::fmt::Write;

use super::record::{PhaseRecord, Record, Status};

impl Record {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# Game day: {}\n\n{}\n\n", self.title, self.goal);
        let status = match (self.status, self.passed) {
            (Status::Interrupted, _) => "interrupted",
            (Status::Finished, true) => "finished, passed",
            (Status::Finished, false) => "finished, not passed",
        };
        let score = self.score;
        let _ = writeln!(
            text,
            "| | |\n|---|---|\n| day | {} |\n| status | {status} |",
            self.day
        );
        let _ = writeln!(
            text,
            "| score | {} of {} points, {:.0} % ({:.0} % pass) |",
            score.points, score.of, score.percent, score.pass_percent
        );
        let _ = writeln!(text, "| runbook | {} |", self.runbook);
        for (role, names) in &self.roles {
            let _ = writeln!(
                text,
                "| {} | {} |",
                role.replace('_', " "),
                names.join(", ")
            );
        }
        let _ = writeln!(
            text,
            "| seed | {} |\n| again | `{}` |",
            self.seed, self.reproduce
        );
        text.push_str("\n## Timeline\n\n| time | what |\n|---|---|\n");
        for moment in &self.timeline {
            let _ = writeln!(text, "| {} | {} |", clock(moment.at_ms), cell(&moment.what));
        }
        for phase in &self.phases {
            text.push_str(&phase.markdown());
        }
        text.push_str("\n## Gaps\n\n");
        if self.gaps.is_empty() {
            text.push_str("None: everything was seen and known.\n");
        }
        for gap in &self.gaps {
            let _ = writeln!(text, "* {}: {}. {}", gap.phase, gap.what, gap.right);
        }
        text.push_str(REVIEW);
        text
    }
}

/// What the team fills in afterwards.
const REVIEW: &str = "
## Review

Blameless: everybody did what seemed right with what they knew. Ask what made it seem right, not who did it.

* What went well?
* Where were we lucky?
* What surprised us?
* What was hard to see, and where would it have been easy to see?
* Was the runbook right? Which step was missing, wrong or too late?
* Who was called too late, or for nothing?

| what changes | owner | by when |
|---|---|---|
| | | |
";

impl PhaseRecord {
    fn markdown(&self) -> String {
        let (from, to) = (clock(self.from_ms), clock(self.to_ms));
        let mut text = format!("\n## {} ({from} to {to})\n\n{}\n\n", self.name, self.told);
        if let Some(escalation) = &self.escalation {
            let _ = writeln!(text, "Escalation: {escalation}\n");
        }
        text.push_str("| figure | value |\n|---|---|\n");
        for told in &self.happened.figures {
            let _ = writeln!(text, "| {} | {} |", told.figure.name(), told.shown);
        }
        let _ = writeln!(text, "| breaker at the end | {} |", self.happened.state);
        for held in self.happened.holds.iter().filter(|held| !held.met) {
            let _ = writeln!(
                text,
                "\nNot as the scenario says: {} ({})",
                held.what, held.found
            );
        }
        if !self.seen.is_empty() {
            text.push_str("\n| what should be seen | where | who saw it |\n|---|---|---|\n");
        }
        for seen in &self.seen {
            let who = seen.who.as_deref().unwrap_or("nobody");
            let what = cell(&seen.what);
            let absent = match seen.happened {
                Some(false) => ", not in this run",
                _ => "",
            };
            let _ = writeln!(text, "| `{what}` | {}{absent} | {} |", seen.sign, cell(who));
        }
        for question in &self.questions {
            let answer = question.answer.as_deref().unwrap_or("no answer");
            let hinted = if question.hinted {
                ", with the hint"
            } else {
                ""
            };
            let _ = writeln!(text, "\n**{}**\n", question.ask);
            let _ = writeln!(
                text,
                "* Answer: {answer} ({} of {} points{hinted})\n* Expected: {}",
                question.points, question.of, question.expected
            );
        }
        text
    }
}

/// A time on the virtual clock.
pub(crate) fn clock(millis: u64) -> String {
    let seconds = millis / 1_000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
