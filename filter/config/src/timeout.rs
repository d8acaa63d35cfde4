//! Time limits and trust: defaults, bounds, and what cannot work together.

use seawall_policy::deadline::Follow;
use seawall_policy::deadline::{Form, Limits};
use seawall_policy::ratio::Share;
use seawall_policy::time::Span;

use super::at::{At, at};
use super::raw::{RawAdaptive, RawTimeout};
use super::units::Duration;
use super::values::{above_nothing, bounds, header_name};

/// The time limits of a policy whose calls are slow from `slow_over` on.
pub(super) fn time(raw: &At<'_, RawTimeout<'_>>, slow_over: Span) -> Limits {
    let default = Limits::default();
    let total = countable(&at!(raw.total));
    let per_try = countable(&at!(raw.per_try));
    if let (Some(per_try), Some(total)) = (per_try, total)
        && per_try >= total
    {
        at!(raw.per_try).refuse_as(format_args!(
            "{per_try} is not shorter than timeout.total ({total}): it would never hold"
        ));
    }
    let doomed_under = at!(raw.doomed_under).or(default.doomed_under);
    if let Some(total) = total.filter(|total| doomed_under >= *total) {
        at!(raw.doomed_under).refuse_as(format_args!(
            "{doomed_under} is not shorter than timeout.total ({total}): nothing could pass"
        ));
    }
    Limits {
        total,
        per_try,
        propagate: match at!(raw.propagate).given() {
            Some(raw) => forms(raw),
            None => default.propagate,
        },
        doomed_under,
        adaptive: at!(raw.adaptive)
            .given()
            .map(|raw| adaptive(raw, slow_over)),
    }
}

fn countable(raw: &At<'_, Duration>) -> Option<Span> {
    let span = raw.get()?;
    if span < Span::millis(1) {
        raw.refuse_as(format_args!(
            "{span} is less than Envoy can count: at least 1ms"
        ));
        return None;
    }
    Some(span)
}

fn forms(raw: &At<'_, Vec<&str>>) -> Vec<Form> {
    raw.at_most(raw.len(), Limits::FORMS_MAX);
    let mut forms = Vec::new();
    for at in raw.items() {
        let name = header_name(&at, at.text());
        if name.starts_with("x-envoy-") && name != "x-envoy-expected-rq-timeout-ms" {
            at.refuse("steers Envoy's router; it cannot carry a deadline");
        }
        forms.push(Form::of(name));
    }
    forms
}

/// Unless it is written otherwise, the limit is never so short that what it ends was not even slow: a percentile of all
/// requests follows the cheap ones, and an upstream has others.
fn adaptive(raw: &At<'_, RawAdaptive>, slow_over: Span) -> Follow {
    let factor = at!(raw.factor).or(20_000) / 100;
    if !(100..=10_000).contains(&factor) {
        let times = factor / 100;
        let problem = format_args!("{times} is out of bounds: 1 to 100");
        at!(raw.factor).refuse_as(problem);
    }
    let usual = (slow_over.max(Span::millis(1)), Span::secs(15));
    let (min, max) = bounds(&at!(raw.min), &at!(raw.max), usual);
    let percentile = at!(raw.percentile);
    Follow {
        percentile: above_nothing(&percentile, percentile.or(Share::percent(99))),
        factor,
        min,
        max,
        samples: at!(raw.minimum_samples).within(100, 1, 1_000_000),
    }
}
