//! A schedule as text: `1*3.2.k1.t` lets worker 1 make three steps, then worker 2 one, kills worker 1, and moves the clock.

use std::fmt;
use std::str::FromStr;

/// One choice of a schedule. Workers count from 0 here and from 1 in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// A worker goes on to its next call of shared data, or begins its next step.
    Go(u8),
    /// A worker's VM ends where it stands.
    Kill(u8),
    /// The next move of the clock.
    Time,
}

/// Choices in their order. Where they end, workers run to their ends one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Choice>);

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Go(worker) => write!(f, "{}", worker + 1),
            Self::Kill(worker) => write!(f, "k{}", worker + 1),
            Self::Time => write!(f, "t"),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "-");
        }
        for (number, same) in self.0.chunk_by(|one, other| one == other).enumerate() {
            let dot = if number > 0 { "." } else { "" };
            write!(f, "{dot}{}", same[0])?;
            if same.len() > 1 {
                write!(f, "*{}", same.len())?;
            }
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| {
            format!(
                "\"{part}\": write WORKER, kWORKER or t, each with *COUNT or not, and dots between"
            )
        };
        let mut choices = Vec::new();
        if matches!(text, "" | "-") {
            return Ok(Self::default());
        }
        for part in text.split('.') {
            let (what, count) = part.split_once('*').unwrap_or((part, "1"));
            let count: usize = count.parse().map_err(|_| wrong(part))?;
            let worker = |text: &str| {
                let number: u8 = text.parse().map_err(|_| wrong(part))?;
                number.checked_sub(1).ok_or_else(|| wrong(part))
            };
            let choice = match (what, what.strip_prefix('k')) {
                ("t", _) => Choice::Time,
                (_, Some(rest)) => Choice::Kill(worker(rest)?),
                (rest, None) => Choice::Go(worker(rest)?),
            };
            if count > 10_000 {
                return Err(wrong(part));
            }
            choices.extend(std::iter::repeat_n(choice, count));
        }
        Ok(Self(choices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        for text in ["1*3.2.k1.t", "-", "6"] {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.to_string(), text);
        }
        for text in ["0", "k", "1*x", "a", "1..2", "1*99999"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
