//! The steps of an experiment, as a process provider calls them.

use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};
use seawall_policy::time::parse_duration;

use super::ask::Ask;
use super::timeline::{Surge, Timeline};
use crate::fault::Fault;

/// How long ago a probe looks back.
const OVER: &str = "10s";
/// Bounds of what is asked of a system at once.
const TIMES_MAX: f64 = 1_000.0;

/// A step.
#[derive(Clone, Debug, Subcommand)]
pub enum Step {
    /// Asks a figure such as `success`, a criterion such as 'p99<500ms', the `state` of the breakers, or whether `state=closed`.
    /// Exit codes: 0 it has a value, or the criterion is met; 1 it has none, or is not met; 2 bad usage or input.
    Probe {
        /// The experiment.
        file: PathBuf,
        /// What is asked.
        ask: Ask,
        /// Over how much time, until now. Times to detect and to recover are of the whole run.
        #[arg(long, default_value = OVER, value_parser = nanos)]
        over: u64,
        /// Asks it of the experiment's control.
        #[arg(long, env = "SEAWALL_CHAOS_CONTROL", value_parser = FalseyValueParser::new())]
        control: bool,
    },
    /// Something goes wrong from now on, such as errors,for=30s: a fault as for `seawall replay --fault`, counted from now.
    Fault {
        /// The experiment.
        file: PathBuf,
        /// What, and for how long.
        #[arg(value_parser = fault)]
        fault: Fault,
    },
    /// Users send so many times as many requests.
    Load {
        /// The experiment.
        file: PathBuf,
        /// How many times, such as 2.
        #[arg(value_parser = times)]
        times: f64,
        /// For how long.
        #[arg(long = "for", value_parser = nanos)]
        length: u64,
    },
    /// Time passes.
    Wait {
        /// The experiment.
        file: PathBuf,
        /// How much.
        #[arg(value_parser = nanos)]
        time: u64,
    },
    /// Everything that goes wrong ends, and the system has so much time to heal.
    Heal {
        /// The experiment.
        file: PathBuf,
        /// How much.
        #[arg(value_parser = nanos)]
        time: u64,
    },
    /// Everything that goes wrong ends, and the session is over: a rollback.
    End {
        /// The experiment.
        file: PathBuf,
    },
}

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    step: Step,
}

impl Step {
    /// Reads the arguments that stand behind `seawall chaos`.
    ///
    /// # Errors
    /// If they are none of a step.
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        let line = Line::try_parse_from(arguments);
        let line = line.map_err(|error| error.to_string())?;
        Ok(line.step)
    }

    /// The experiment that it belongs to.
    pub fn file(&self) -> &Path {
        match self {
            Self::Probe { file, .. }
            | Self::Fault { file, .. }
            | Self::Load { file, .. }
            | Self::Wait { file, .. }
            | Self::Heal { file, .. }
            | Self::End { file } => file,
        }
    }

    /// Does it to what happens. A probe does nothing.
    pub fn apply(&self, timeline: &mut Timeline) {
        match self {
            Self::Probe { .. } => {}
            Self::Fault { fault, .. } => timeline.fault(fault.clone()),
            Self::Load { times, length, .. } => timeline.surge(Surge {
                at: 0,
                length: *length,
                times: *times,
            }),
            Self::Wait { time, .. } => timeline.wait(*time),
            Self::Heal { time, .. } => {
                timeline.heal();
                timeline.wait(*time);
            }
            Self::End { .. } => timeline.heal(),
        }
    }

    /// What it prints.
    pub fn said(&self) -> String {
        match self {
            Self::Probe { ask, .. } => format!("{ask}?\n"),
            Self::Fault { fault, .. } => format!("{fault}\n"),
            Self::Load { times, .. } => format!("{times} times the load\n"),
            Self::Wait { time, .. } => format!("{} s later\n", *time as f64 / 1e9),
            Self::Heal { time, .. } => {
                format!("nothing is wrong, {} s later\n", *time as f64 / 1e9)
            }
            Self::End { .. } => "nothing is wrong\n".to_owned(),
        }
    }
}

fn nanos(text: &str) -> Result<u64, String> {
    let span = parse_duration(text).map_err(|error| error.to_string())?;
    Ok(span.as_nanos())
}

fn times(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('x').parse().ok();
    let number = number.filter(|times| (1.0..=TIMES_MAX).contains(times));
    number.ok_or_else(|| format!("\"{text}\": expected a number from 1 to {TIMES_MAX}"))
}

/// A fault that begins when the step is done, unless it says how long after.
fn fault(text: &str) -> Result<Fault, String> {
    match text.split(',').any(|part| part.starts_with("at=")) {
        true => text.parse(),
        false => format!("{text},at=0s").parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_from_the_arguments_of_a_provider() {
        let read = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            Step::read(&words)
        };
        let mut timeline = Timeline::new(10);
        for line in [
            "wait x.yaml 5s",
            "fault x.yaml errors,for=30s",
            "load x.yaml 2 --for 10s",
            "wait x.yaml 1s",
            "probe x.yaml success",
            "heal x.yaml 20s",
        ] {
            read(line).unwrap().apply(&mut timeline);
        }
        let second = 1_000_000_000;
        assert_eq!(timeline.clock, 10 + 26 * second);
        assert_eq!(
            timeline.troubled(),
            Some((10 + 5 * second, 10 + 6 * second))
        );
        for (line, why) in [
            ("load x.yaml 0 --for 10s", "1 to 1000"),
            ("fault x.yaml flood,for=1s", "no kind of fault"),
            ("fault x.yaml errors", "for= is missing"),
            ("probe x.yaml speed", "compares nothing"),
            ("jump x.yaml", "jump"),
        ] {
            let told = read(line).unwrap_err();
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
