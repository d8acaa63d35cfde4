//! Retries: defaults, bounds, and what cannot work together.

use seawall_policy::deadline::Follow;
use seawall_policy::deadline::Limits;
use seawall_policy::retry::{Condition, Conditions, Delay, Mode, Settings};
use seawall_policy::retry_budget;
use seawall_policy::time::Span;

use super::at::{At, at};
use super::error::suggestion;
use super::raw::retries::{RawBudget, RawHedge, RawMethods, RawRetries, RawRetryMode, RawRouter};
use super::values::{above_nothing, bounds};

const CONDITIONS_MAX: usize = 64;

/// The retries of a policy; none where they are off.
pub(super) fn retries(raw: &At<'_, RawRetries<'_>>, time: &Limits) -> Option<Settings> {
    let default = Settings::default();
    let attempts = u32::from(default.attempts);
    let attempts = at!(raw.attempts).within(attempts, 1, Settings::ATTEMPTS_MAX);
    let mode = at!(raw.mode).said();
    let settings = Settings {
        mode: match mode {
            Some(RawRetryMode::Shadow) => Mode::Shadow,
            Some(RawRetryMode::Enforce | RawRetryMode::Off) | None => Mode::Enforce,
        },
        attempts: u8::try_from(attempts).unwrap_or(default.attempts),
        on: match at!(raw.on).given() {
            Some(raw) => conditions(raw),
            None => default.on,
        },
        any_method: matches!(at!(raw.methods).said(), Some(RawMethods::Any)),
        budget: budget(&at!(raw.budget)),
        hedge: match at!(raw.hedge).given() {
            Some(raw) => hedge(raw, time),
            None => None,
        },
        by_route: at!(raw.router).said() == Some(RawRouter::Route),
    };
    if settings.by_route && settings.hedge.is_some() {
        let problem = "route cannot stand beside hedge, which is told to Envoy's router by headers";
        at!(raw.router).refuse(problem);
    }
    (mode != Some(RawRetryMode::Off)).then_some(settings)
}

fn conditions(raw: &At<'_, Vec<&str>>) -> Conditions {
    raw.at_most(raw.len(), CONDITIONS_MAX);
    let mut on = Conditions::default();
    for at in raw.items() {
        let word = at.text();
        let named = Condition::NAMES.iter().find(|(name, _)| *name == word);
        let grpc = Condition::GRPC_NAMES.iter().find(|(name, _)| *name == word);
        let status = word.parse::<u16>().ok();
        let status = status.filter(|status| (400..=599).contains(status));
        match (named, grpc, status) {
            (Some((_, condition)), _, _) => on.add(*condition),
            (_, Some((_, status)), _) => on.grpc.push(*status),
            (_, _, Some(status)) => on.statuses.push(status),
            (None, None, None) => unknown(&at),
        }
    }
    on
}

#[cold]
fn unknown(at: &At<'_, &str>) {
    let names = Condition::NAMES.iter().map(|(name, _)| *name);
    let known = names.chain(Condition::GRPC_NAMES.iter().map(|(name, _)| *name));
    let known: Vec<&str> = known.collect();
    let word = at.text();
    let near = suggestion(word, &known);
    let list = known.join(", ");
    at.refuse_as(format_args!(
        "unknown condition \"{word}\"{near}; known: {list}, and statuses 400 to 599"
    ));
}

fn budget(raw: &At<'_, RawBudget>) -> retry_budget::Settings {
    let default = retry_budget::Settings::default();
    let floor = at!(raw.min_per_second).or(default.floor);
    if floor > 10_000_000 {
        let whole = floor.div_ceil(10_000);
        let problem = format_args!("{whole} is out of bounds: 0 to 1000");
        at!(raw.min_per_second).refuse_as(problem);
    }
    retry_budget::Settings {
        ratio: at!(raw.ratio).or(default.ratio),
        floor,
        ttl: at!(raw.ttl).within(default.ttl, Span::secs(1), Span::secs(60)),
    }
}

fn hedge(raw: &At<'_, RawHedge>, time: &Limits) -> Option<Delay> {
    if time.per_try.is_some() {
        raw.refuse("cannot stand beside timeout.per_try: Envoy's router has one clock for both");
    }
    let (least, most) = (at!(raw.min), at!(raw.max));
    match (at!(raw.after).get(), at!(raw.percentile).get()) {
        (Some(after), None) => {
            if least.given().is_some() || most.given().is_some() {
                raw.refuse("min and max bound a percentile; \"after\" needs none");
            } else if after < Span::millis(1) {
                raw.refuse("after: at least 1ms");
            }
            Some(Delay::After(after))
        }
        (None, Some(percentile)) => {
            let usual = (Span::millis(10), Span::secs(10));
            let (min, max) = bounds(&least, &most, usual);
            Some(Delay::Percentile(Follow {
                percentile: above_nothing(&at!(raw.percentile), percentile),
                factor: 100,
                min,
                max,
                samples: 100,
            }))
        }
        (None, None) | (Some(_), Some(_)) => {
            raw.refuse("write either \"after\" (a time) or \"percentile\"");
            None
        }
    }
}
