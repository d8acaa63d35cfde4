//! Time limits and trust: defaults, bounds, and what cannot work together.

use crate::deadline::{Form, Limits};
use crate::latency::Follow;
use crate::ratio::Share;
use crate::time::Span;
use crate::trust::{Network, Trust};

use super::cursor::{Cursor, Place};
use super::defaults;
use super::policy::{header_name, name};
use super::raw::{RawAdaptive, RawTimeout, RawTrust};
use super::units::Duration;

const TRUSTED_MAX: usize = 64;

/// The time limits of a policy whose calls are slow from `slow_over` on.
pub(super) fn time(raw: &Cursor<'_, RawTimeout>, slow_over: Span) -> Limits {
    let default = Limits::default();
    let total = countable(&raw.total());
    let per_try = countable(&raw.per_try());
    if let (Some(per_try), Some(total)) = (per_try, total)
        && per_try >= total
    {
        raw.per_try().refuse_as(format_args!(
            "{per_try} is not shorter than timeout.total ({total}): it would never hold"
        ));
    }
    let doomed_under = raw.doomed_under().or(default.doomed_under);
    if let Some(total) = total.filter(|total| doomed_under >= *total) {
        raw.doomed_under().refuse_as(format_args!(
            "{doomed_under} is not shorter than timeout.total ({total}): nothing could pass"
        ));
    }
    Limits {
        total,
        per_try,
        propagate: match raw.propagate().given() {
            Some(raw) => forms(raw),
            None => default.propagate,
        },
        doomed_under,
        adaptive: raw.adaptive().given().map(|raw| adaptive(raw, slow_over)),
    }
}

fn countable(raw: &Cursor<'_, Duration>) -> Option<Span> {
    let span = raw.get()?;
    if span < Span::millis(1) {
        raw.refuse_as(format_args!(
            "{span} is less than Envoy can count: at least 1ms"
        ));
    }
    Some(span)
}

fn forms(raw: &Cursor<'_, Vec<String>>) -> Vec<Form> {
    raw.at_most(raw.len(), Limits::FORMS_MAX);
    let mut forms = Vec::new();
    for index in 0..raw.len() {
        let at = raw.item(index);
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
fn adaptive(raw: &Cursor<'_, RawAdaptive>, slow_over: Span) -> Follow {
    let factor = raw.factor().or(20_000) / 100;
    if !(100..=10_000).contains(&factor) {
        let times = factor / 100;
        let problem = format_args!("{times} is out of bounds: 1 to 100");
        raw.factor().refuse_as(problem);
    }
    let usual = (slow_over.max(Span::millis(1)), Span::secs(15));
    let (min, max) = bounds(&raw.min(), &raw.max(), usual);
    let percentile = raw.percentile();
    Follow {
        percentile: above_nothing(&percentile, percentile.or(Share::percent(99))),
        factor,
        min,
        max,
        samples: raw.minimum_samples().within(100, 1, 1_000_000),
    }
}

/// A percentile that may be followed.
pub(super) fn above_nothing(at: &Place<'_>, percentile: Share) -> Share {
    if percentile == Share::NONE {
        at.refuse("must be above 0");
    }
    percentile
}

/// The bounds of what follows a percentile.
pub(super) fn bounds(
    min: &Cursor<'_, Duration>,
    max: &Cursor<'_, Duration>,
    usual: (Span, Span),
) -> (Span, Span) {
    let (least, most) = defaults::range((min.get(), usual.0), (max.get(), usual.1));
    if least < Span::millis(1) || most < least {
        let written = min.given().unwrap_or(max);
        written.refuse_as(format_args!(
            "{least} to {most} is no range of at least 1ms"
        ));
    }
    (least, most)
}

/// Whose marks are believed.
pub(super) fn trust(raw: &Cursor<'_, RawTrust>) -> Trust {
    let (identities, addresses) = (raw.identities(), raw.addresses());
    identities.at_most(identities.len(), TRUSTED_MAX);
    addresses.at_most(addresses.len(), TRUSTED_MAX);
    let mut trust = Trust::default();
    for index in 0..identities.len() {
        let at = identities.item(index);
        trust.identities.push(name(&at, "a URI"));
    }
    for index in 0..addresses.len() {
        let at = addresses.item(index);
        let text = at.text();
        match Network::parse(text) {
            Some(network) => trust.networks.push(network),
            None => at.refuse_as(format_args!(
                "\"{text}\" is no address and no network such as 10.0.0.0/8"
            )),
        }
    }
    trust
}
