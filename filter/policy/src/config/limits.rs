//! Time limits and trust: defaults, bounds, and what cannot work together.

use crate::deadline::{Form, Limits};
use crate::latency::Follow;
use crate::share::Share;
use crate::time::Span;
use crate::trust::{Network, Trust};

use super::error::Error;
use super::raw::{RawAdaptive, RawTimeout, RawTrust};
use super::read::Path;
use super::valid::{at_most, within};

const TRUSTED_MAX: usize = 64;
const PATTERN_MAX: usize = 512;

/// The time limits of a policy.
pub(super) fn time(path: &Path<'_>, raw: RawTimeout) -> Result<Limits, Error> {
    let default = Limits::default();
    let total = raw.total.map(|total| total.0);
    let per_try = raw.per_try.map(|limit| limit.0);
    for (key, span) in [("total", total), ("per_try", per_try)] {
        let at = path.key(key);
        if let Some(span) = span.filter(|span| *span < Span::millis(1)) {
            let problem = format_args!("{span} is less than Envoy can count: at least 1ms");
            return Err(at.error(problem));
        }
    }
    if let (Some(per_try), Some(total)) = (per_try, total)
        && per_try >= total
    {
        let problem = format_args!(
            "{per_try} is not shorter than timeout.total ({total}): it would never hold"
        );
        return Err(path.key("per_try").error(problem));
    }
    let doomed_under = raw.doomed_under.map_or(default.doomed_under, |span| span.0);
    if let Some(total) = total.filter(|total| doomed_under >= *total) {
        let problem = format_args!(
            "{doomed_under} is not shorter than timeout.total ({total}): nothing could pass"
        );
        return Err(path.key("doomed_under").error(problem));
    }
    let propagate = match raw.propagate {
        Some(names) => forms(&path.key("propagate"), names)?,
        None => default.propagate,
    };
    let adaptive = match raw.adaptive {
        Some(raw) => Some(adaptive(&path.key("adaptive"), &raw)?),
        None => None,
    };
    Ok(Limits {
        total,
        per_try,
        propagate,
        doomed_under,
        adaptive,
    })
}

fn forms(path: &Path<'_>, names: Vec<String>) -> Result<Vec<Form>, Error> {
    at_most(path, names.len(), Limits::FORMS_MAX)?;
    let mut forms = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let at = path.at(index);
        let name = super::valid::header_name(&at, &name)?;
        if name.starts_with("x-envoy-") && name != "x-envoy-expected-rq-timeout-ms" {
            return Err(at.error(format_args!(
                "steers Envoy's router; it cannot carry a deadline"
            )));
        }
        forms.push(Form::of(name));
    }
    Ok(forms)
}

fn adaptive(path: &Path<'_>, raw: &RawAdaptive) -> Result<Follow, Error> {
    let follow = Follow {
        percentile: raw.percentile.map_or(Share::percent(99), |share| share.0),
        factor: raw.factor.map_or(200, |factor| factor.0 / 100),
        min: raw.min.map_or(Span::millis(100), |span| span.0),
        max: raw.max.map_or(Span::secs(15), |span| span.0),
        samples: raw.minimum_samples.unwrap_or(100),
    };
    within(&path.key("factor"), follow.factor / 100, 1, 100)?;
    within(&path.key("minimum_samples"), follow.samples, 1, 1_000_000)?;
    followed(path, follow)
}

/// A percentile and its bounds.
pub(super) fn followed(path: &Path<'_>, follow: Follow) -> Result<Follow, Error> {
    if follow.percentile == Share::NONE {
        return Err(path
            .key("percentile")
            .error(format_args!("must be above 0")));
    }
    if follow.min < Span::millis(1) || follow.max < follow.min {
        let problem = format_args!(
            "{} to {} is no range of at least 1ms",
            follow.min, follow.max
        );
        return Err(path.key("min").error(problem));
    }
    Ok(follow)
}

/// Whose marks are believed.
pub(super) fn trust(path: &Path<'_>, raw: RawTrust) -> Result<Trust, Error> {
    let identities = raw.identities.unwrap_or_default();
    let addresses = raw.addresses.unwrap_or_default();
    let (at_identities, at_addresses) = (path.key("identities"), path.key("addresses"));
    at_most(&at_identities, identities.len(), TRUSTED_MAX)?;
    at_most(&at_addresses, addresses.len(), TRUSTED_MAX)?;
    for (index, identity) in identities.iter().enumerate() {
        if identity.is_empty() || identity.len() > PATTERN_MAX {
            let problem = format_args!("write a URI of at most {PATTERN_MAX} bytes");
            return Err(at_identities.at(index).error(problem));
        }
    }
    let mut networks = Vec::new();
    for (index, text) in addresses.iter().enumerate() {
        networks.push(Network::parse(text).ok_or_else(|| {
            let problem =
                format_args!("\"{text}\" is no address and no network such as 10.0.0.0/8");
            at_addresses.at(index).error(problem)
        })?);
    }
    Ok(Trust {
        networks,
        identities,
    })
}
