//! Retries: defaults, bounds, and what cannot work together.

use crate::deadline::Limits;
use crate::latency::Follow;
use crate::retry::{Condition, Conditions, Delay, Mode, Settings, budget};
use crate::time::Span;

use super::error::{Error, suggestion};
use super::limits::followed;
use super::raw::{RawBudget, RawHedge, RawMethods, RawRetries, RawRetryMode};
use super::read::Path;
use super::valid::{at_most, within};

const CONDITIONS_MAX: usize = 64;

/// The retries of a policy; none where they are off.
pub(super) fn retries(
    path: &Path<'_>,
    raw: RawRetries,
    time: &Limits,
) -> Result<Option<Settings>, Error> {
    let default = Settings::default();
    let attempts = raw.attempts.unwrap_or(u32::from(default.attempts));
    within(&path.key("attempts"), attempts, 1, Settings::ATTEMPTS_MAX)?;
    let on = match raw.on {
        Some(words) => conditions(&path.key("on"), &words)?,
        None => default.on,
    };
    let budget = budget(&path.key("budget"), &raw.budget.unwrap_or_default())?;
    let hedge = match raw.hedge {
        Some(raw) => Some(hedge(&path.key("hedge"), &raw, time)?),
        None => None,
    };
    let settings = Settings {
        mode: match raw.mode {
            Some(RawRetryMode::Shadow) => Mode::Shadow,
            Some(RawRetryMode::Enforce | RawRetryMode::Off) | None => Mode::Enforce,
        },
        attempts: u8::try_from(attempts).unwrap_or(default.attempts),
        on,
        any_method: matches!(raw.methods, Some(RawMethods::Any)),
        budget,
        hedge,
    };
    Ok((raw.mode != Some(RawRetryMode::Off)).then_some(settings))
}

fn conditions(path: &Path<'_>, words: &[String]) -> Result<Conditions, Error> {
    at_most(path, words.len(), CONDITIONS_MAX)?;
    let mut on = Conditions::default();
    for (index, word) in words.iter().enumerate() {
        let named = Condition::NAMES.iter().find(|(name, _)| name == word);
        let grpc = Condition::GRPC_NAMES.iter().find(|(name, _)| name == word);
        let status: Option<u64> = word.parse().ok();
        let status = status.filter(|status| (400..=599).contains(status));
        let status = status.and_then(|status| u16::try_from(status).ok());
        match (named, grpc, status) {
            (Some((_, condition)), _, _) => on.add(*condition),
            (_, Some((_, status)), _) => on.grpc.push(*status),
            (_, _, Some(status)) => on.statuses.push(status),
            (None, None, None) => {
                let names = Condition::NAMES.iter().map(|(name, _)| *name);
                let known = names.chain(Condition::GRPC_NAMES.iter().map(|(name, _)| *name));
                let known: Vec<&str> = known.collect();
                let near = suggestion(word, &known);
                let list = known.join(", ");
                let problem = format_args!(
                    "unknown condition \"{word}\"{near}; known: {list}, and statuses 400 to 599"
                );
                return Err(path.at(index).error(problem));
            }
        }
    }
    Ok(on)
}

fn budget(path: &Path<'_>, raw: &RawBudget) -> Result<budget::Settings, Error> {
    let default = budget::Settings::default();
    let floor = raw.min_per_second.map_or(default.floor, |rate| rate.0);
    let ttl = raw.ttl.map_or(default.ttl, |ttl| ttl.0);
    within(
        &path.key("min_per_second"),
        floor.div_ceil(10_000),
        0,
        1_000,
    )?;
    if !(Span::secs(1)..=Span::secs(60)).contains(&ttl) {
        let problem = format_args!("{ttl} is out of bounds: 1s to 60s");
        return Err(path.key("ttl").error(problem));
    }
    Ok(budget::Settings {
        ratio: raw.ratio.map_or(default.ratio, |ratio| ratio.0),
        floor,
        ttl,
    })
}

fn hedge(path: &Path<'_>, raw: &RawHedge, time: &Limits) -> Result<Delay, Error> {
    if time.per_try.is_some() {
        let problem = format_args!(
            "cannot stand beside timeout.per_try: Envoy's router has one clock for both"
        );
        return Err(path.error(problem));
    }
    match (raw.after, raw.percentile) {
        (Some(after), None) => {
            let bounded = raw.min.is_none() && raw.max.is_none();
            let long = after.0 >= Span::millis(1);
            let problem = match (bounded, long) {
                (true, true) => return Ok(Delay::After(after.0)),
                (false, _) => "min and max bound a percentile; \"after\" needs none",
                (true, false) => "after: at least 1ms",
            };
            Err(path.error(format_args!("{problem}")))
        }
        (None, Some(percentile)) => {
            let follow = Follow {
                percentile: percentile.0,
                factor: 100,
                min: raw.min.map_or(Span::millis(10), |span| span.0),
                max: raw.max.map_or(Span::secs(10), |span| span.0),
                samples: 100,
            };
            followed(path, follow).map(Delay::Percentile)
        }
        (None, None) | (Some(_), Some(_)) => {
            let problem = format_args!("write either \"after\" (a time) or \"percentile\"");
            Err(path.error(problem))
        }
    }
}
