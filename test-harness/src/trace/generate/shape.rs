//! How arrivals are spread over time: always a Poisson process, whose rate changes or not.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp};
use seawall_policy::time::{Span, parse_duration};

use crate::random::chance;

/// How the rate changes; times are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Not at all.
    Poisson,
    /// It jumps between two rates by chance (a Markov-modulated Poisson process): bursts have so many times the rate of the calm between them.
    Bursty {
        /// How many times.
        factor: f64,
        /// The mean length of a burst.
        length: f64,
        /// The mean time from one burst's beginning to the next.
        every: f64,
    },
    /// A sine wave, which begins at its lowest.
    Diurnal {
        /// From one peak to the next.
        period: f64,
        /// The lowest rate, in percent of the highest.
        low: f64,
    },
    /// It is so many times as high for a while.
    Spike {
        /// From when on.
        at: f64,
        /// For how long.
        length: f64,
        /// How many times.
        factor: f64,
    },
    /// It grows evenly, or falls, to this one.
    Ramp {
        /// Requests a second at the end.
        to: f64,
    },
    /// It follows these parts of equal length, relative to each other.
    Like(Vec<f64>),
}

const HOW: &str = "write poisson, bursty[,factor=10][,for=1s][,every=10s], diurnal[,period=24h][,low=20], spike,at=TIME,for=TIME[,factor=5] or ramp,to=RATE";

impl Shape {
    /// When requests come, in seconds, at this mean rate (the rate before a spike, or at the beginning of a ramp). `None` if a figure is out
    /// of its bounds.
    pub fn times(
        &self,
        rate: f64,
        seconds: f64,
        seed: u64,
    ) -> Option<Box<dyn Iterator<Item = f64>>> {
        let highest = self.highest(rate, seconds)?;
        let gaps = Exp::new(highest)
            .ok()
            .filter(|_| highest.is_finite() && highest > 0.0)?;
        let mut random = chance(seed, "arrivals");
        let mut level = Level::new(self.clone(), rate, seconds, seed);
        let mut at = 0.0;
        Some(Box::new(std::iter::from_fn(move || {
            // Candidates at the highest rate, of which as many stay as the present one is of it.
            loop {
                at += gaps.sample(&mut random);
                if at >= seconds {
                    return None;
                }
                let now = level.rate(at);
                if now >= highest || random.random_range(0.0..highest) < now {
                    return Some(at);
                }
            }
        })))
    }

    /// How many requests there are about.
    pub fn expected(&self, rate: f64, seconds: f64) -> f64 {
        rate * seconds
            + match self {
                Self::Spike { at, length, factor } => {
                    let length = (at + length).min(seconds) - at.min(seconds);
                    rate * (factor - 1.0) * length
                }
                Self::Ramp { to } => (to - rate) * seconds / 2.0,
                _ => 0.0,
            }
    }

    /// The highest rate that it ever has; none if it makes no sense.
    fn highest(&self, rate: f64, seconds: f64) -> Option<f64> {
        let ok = |fits: bool| fits.then_some(());
        ok(rate.is_finite() && rate > 0.0 && seconds.is_finite())?;
        Some(match self {
            Self::Poisson => rate,
            Self::Bursty {
                factor,
                length,
                every,
            } => {
                ok(*factor >= 1.0 && factor.is_finite() && *length > 0.0 && every > length)?;
                calm(rate, *factor, length / every) * factor
            }
            Self::Diurnal { period, low } => {
                ok(*period > 0.0 && (0.0..=100.0).contains(low))?;
                2.0 * rate / (1.0 + low / 100.0)
            }
            Self::Spike { length, factor, .. } => {
                ok(*length > 0.0 && *factor >= 0.0 && factor.is_finite())?;
                rate * factor.max(1.0)
            }
            Self::Ramp { to } => {
                ok(*to >= 0.0 && to.is_finite())?;
                rate.max(*to)
            }
            Self::Like(parts) => {
                let most = parts.iter().copied().fold(0.0, f64::max);
                ok(most > 0.0)?;
                rate * most / mean(parts)
            }
        })
    }
}

/// The rate between bursts that take this share of the time.
fn calm(rate: f64, factor: f64, share: f64) -> f64 {
    rate / (1.0 + share * (factor - 1.0))
}

fn mean(parts: &[f64]) -> f64 {
    parts.iter().sum::<f64>() / parts.len().max(1) as f64
}

/// The rate as time passes.
struct Level {
    shape: Shape,
    mean: f64,
    seconds: f64,
    random: ChaCha8Rng,
    /// Whether a burst is on, and until when it is as it is.
    burst: bool,
    until: f64,
}

impl Level {
    fn new(shape: Shape, mean: f64, seconds: f64, seed: u64) -> Self {
        let mut level = Self {
            shape,
            mean,
            seconds,
            random: chance(seed, "bursts"),
            burst: false,
            until: 0.0,
        };
        if let Shape::Bursty { length, every, .. } = level.shape {
            level.burst = level.random.random_bool(length / every);
            level.until = level.stays();
        }
        level
    }

    /// For how long the present state lasts.
    fn stays(&mut self) -> f64 {
        let Shape::Bursty { length, every, .. } = self.shape else {
            return f64::INFINITY;
        };
        let mean = if self.burst { length } else { every - length };
        Exp::new(1.0 / mean).map_or(f64::INFINITY, |time| time.sample(&mut self.random))
    }

    /// The rate at a time; times grow from one call to the next.
    fn rate(&mut self, at: f64) -> f64 {
        while at >= self.until && matches!(self.shape, Shape::Bursty { .. }) {
            self.burst = !self.burst;
            self.until += self.stays();
        }
        match &self.shape {
            Shape::Poisson => self.mean,
            Shape::Bursty {
                factor,
                length,
                every,
            } => calm(self.mean, *factor, length / every) * if self.burst { *factor } else { 1.0 },
            Shape::Diurnal { period, low } => {
                let low = low / 100.0;
                let wave = (1.0 - (std::f64::consts::TAU * at / period).cos()) / 2.0;
                2.0 * self.mean / (1.0 + low) * (low + (1.0 - low) * wave)
            }
            Shape::Spike {
                at: from,
                length,
                factor,
            } => match (*from..from + length).contains(&at) {
                true => self.mean * factor,
                false => self.mean,
            },
            Shape::Ramp { to } => self.mean + (to - self.mean) * at / self.seconds,
            Shape::Like(parts) => {
                let part = (at / self.seconds * parts.len() as f64) as usize;
                let part = parts.get(part.min(parts.len() - 1)).copied();
                self.mean * part.unwrap_or(0.0) / mean(parts)
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: &f64| Span::nanos((seconds * 1e9) as u64);
        match self {
            Self::Poisson => f.write_str("poisson"),
            Self::Bursty {
                factor,
                length,
                every,
            } => write!(
                f,
                "bursty,factor={factor},for={},every={}",
                time(length),
                time(every)
            ),
            Self::Diurnal { period, low } => write!(f, "diurnal,period={},low={low}", time(period)),
            Self::Spike { at, length, factor } => {
                write!(
                    f,
                    "spike,at={},for={},factor={factor}",
                    time(at),
                    time(length)
                )
            }
            Self::Ramp { to } => write!(f, "ramp,to={to}"),
            Self::Like(parts) => write!(f, "like a log of {} parts", parts.len()),
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let known: &[&str] = match kind {
            "poisson" => &[],
            "bursty" => &["factor", "for", "every"],
            "diurnal" => &["period", "low"],
            "spike" => &["at", "for", "factor"],
            "ramp" => &["to"],
            _ => return Err(format!("\"{kind}\" is no shape: {HOW}")),
        };
        let mut given: Vec<(&str, f64)> = Vec::new();
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&key) || given.iter().any(|(before, _)| *before == key) {
                return Err(format!(
                    "\"{part}\" is nothing of {kind}, or stands twice: {HOW}"
                ));
            }
            let number = match key {
                "factor" | "low" | "to" => value.parse().ok(),
                _ => parse_duration(value)
                    .ok()
                    .map(|span| span.as_nanos() as f64 / 1e9),
            };
            let Some(number) = number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
            else {
                return Err(format!("\"{part}\" is no value of {key}: {HOW}"));
            };
            given.push((key, number));
        }
        let of = |key: &str, default: Option<f64>| {
            let found = given.iter().find(|(given, _)| *given == key);
            let found = found.map(|(_, value)| *value).or(default);
            found.ok_or_else(|| format!("{kind} lacks {key}: {HOW}"))
        };
        let shape = match kind {
            "bursty" => Self::Bursty {
                factor: of("factor", Some(10.0))?,
                length: of("for", Some(1.0))?,
                every: of("every", Some(10.0))?,
            },
            "diurnal" => Self::Diurnal {
                period: of("period", Some(86_400.0))?,
                low: of("low", Some(20.0))?,
            },
            "spike" => Self::Spike {
                at: of("at", None)?,
                length: of("for", None)?,
                factor: of("factor", Some(5.0))?,
            },
            "ramp" => Self::Ramp {
                to: of("to", None)?,
            },
            _ => Self::Poisson,
        };
        match shape.highest(1.0, 1.0) {
            Some(_) => Ok(shape),
            None => Err(format!(
                "\"{text}\": a factor of bursty is 1 or more, bursts are shorter than every, low is 0 to 100, and times are above 0"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests in each second.
    fn counts(shape: &str, rate: f64, seconds: usize, seed: u64) -> Vec<f64> {
        let shape: Shape = shape.parse().unwrap();
        let mut counts = vec![0.0; seconds];
        for at in shape.times(rate, seconds as f64, seed).unwrap() {
            counts[at as usize] += 1.0;
        }
        counts
    }

    #[track_caller]
    fn near(found: f64, expected: f64, tolerance: f64) {
        let close = (found - expected).abs() <= expected * tolerance;
        assert!(close, "{found} is not {expected}");
    }

    /// Variance over mean of counts in windows of so many seconds: 1 for a Poisson process.
    fn dispersion(counts: &[f64], window: usize) -> f64 {
        let sums: Vec<f64> = counts
            .chunks_exact(window)
            .map(|part| part.iter().sum())
            .collect();
        let mean = mean(&sums);
        let squares = sums.iter().map(|sum| (sum - mean).powi(2));
        squares.sum::<f64>() / (sums.len() - 1) as f64 / mean
    }

    #[test]
    fn every_shape_has_the_number_of_requests_that_arithmetic_says() {
        for (shape, expected) in [
            ("poisson", 100_000.0),
            ("bursty", 100_000.0),
            ("diurnal,period=100s,low=10", 100_000.0),
            ("spike,at=100s,for=100s,factor=5", 140_000.0),
            ("ramp,to=300", 200_000.0),
        ] {
            let read: Shape = shape.parse().unwrap();
            assert_eq!(read.expected(100.0, 1_000.0), expected, "{shape}");
            let found: f64 = counts(shape, 100.0, 1_000, 1).iter().sum();
            // Bursts come by chance, a hundred of them.
            near(found, expected, if shape == "bursty" { 0.12 } else { 0.01 });
        }
    }

    #[test]
    fn a_bursty_trace_is_as_uneven_as_a_markov_modulated_process() {
        near(
            dispersion(&counts("poisson", 100.0, 20_000, 3), 1),
            1.0,
            0.05,
        );
        // Calm 52.6, bursts 526 a second, which begin each 10 s and last 1 s: 1 + 2 s1 s2 (l1 - l2)^2 / ((s1 + s2)^2 (l1 s2 + l2 s1)).
        let (calm, burst) = (100.0 / 1.9, 1_000.0 / 1.9);
        let (up, down) = (1.0 / 9.0, 1.0);
        let sum: f64 = up + down;
        let limit = 1.0
            + 2.0 * up * down * f64::powi(burst - calm, 2)
                / (sum.powi(2) * (calm * down + burst * up));
        let found = counts("bursty,factor=10,for=1s,every=10s", 100.0, 400_000, 3);
        near(mean(&found), 100.0, 0.02);
        near(dispersion(&found, 200), limit, 0.1);
    }

    #[test]
    fn waves_spikes_and_ramps_are_where_they_should_be() {
        let wave = counts("diurnal,period=1000s,low=20", 120.0, 1_000, 5);
        near(mean(&wave[..20]), 40.0, 0.1);
        near(mean(&wave[490..510]), 200.0, 0.05);
        let spike = counts("spike,at=100s,for=50s,factor=4", 100.0, 300, 5);
        near(mean(&spike[..100]), 100.0, 0.05);
        near(mean(&spike[100..150]), 400.0, 0.05);
        near(mean(&spike[150..]), 100.0, 0.05);
        let ramp = counts("ramp,to=300", 100.0, 1_000, 5);
        near(mean(&ramp[..50]), 105.0, 0.05);
        near(mean(&ramp[950..]), 295.0, 0.05);
        let fall = counts("ramp,to=0", 100.0, 1_000, 5);
        assert!(mean(&fall[990..]) < 3.0);
        let like = Shape::Like(vec![1.0, 0.0, 3.0]);
        let times: Vec<f64> = like.times(100.0, 300.0, 5).unwrap().collect();
        let within =
            |from: f64, to: f64| times.iter().filter(|at| (from..to).contains(*at)).count() as f64;
        near(within(0.0, 100.0), 7_500.0, 0.05);
        assert_eq!(within(100.0, 200.0), 0.0);
        near(within(200.0, 300.0), 22_500.0, 0.05);
    }

    #[test]
    fn a_shape_is_read_and_written_the_same_and_a_wrong_one_says_what_is_right() {
        for text in [
            "poisson",
            "bursty,factor=4,for=2s,every=30s",
            "diurnal,period=24h,low=20",
            "spike,at=10s,for=5s,factor=2.5",
            "ramp,to=300",
        ] {
            let read: Shape = text.parse().unwrap();
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        for text in [
            "sine",
            "spike",
            "spike,at=1s",
            "ramp,to=x",
            "poisson,to=1",
            "bursty,factor=2,factor=3",
            "diurnal,low=120",
            "bursty,for=10s,every=10s",
            "bursty,factor=0.5",
            "ramp,to=-1",
        ] {
            let told = text.parse::<Shape>().unwrap_err();
            assert!(told.contains(": "), "{text}: {told}");
        }
    }
}
