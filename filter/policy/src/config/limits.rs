//! Time limits and trust: defaults, bounds, and what cannot work together.

use crate::deadline::{Form, Limits};
use crate::latency::Follow;
use crate::share::Share;
use crate::time::Span;
use crate::trust::{Network, Trust};

use super::error::Error;
use super::raw::{RawAdaptive, RawTimeout, RawTrust};
use super::valid::{at_most, within};

const TRUSTED_MAX: usize = 64;
const PATTERN_MAX: usize = 512;

/// The time limits of a policy.
pub(super) fn time(path: &str, raw: RawTimeout) -> Result<Limits, Error> {
    let default = Limits::default();
    let total = raw.total.map(|total| total.0);
    let per_try = raw.per_try.map(|limit| limit.0);
    for (key, span) in [("total", total), ("per_try", per_try)] {
        let at = format!("{path}.{key}");
        if let Some(span) = span.filter(|span| *span < Span::millis(1)) {
            let problem = format!("{span} is less than Envoy can count: at least 1ms");
            return Err(Error::new(&at, &problem));
        }
    }
    if let (Some(per_try), Some(total)) = (per_try, total)
        && per_try >= total
    {
        let problem =
            format!("{per_try} is not shorter than timeout.total ({total}): it would never hold");
        return Err(Error::new(&format!("{path}.per_try"), &problem));
    }
    let doomed_under = raw.doomed_under.map_or(default.doomed_under, |span| span.0);
    if let Some(total) = total.filter(|total| doomed_under >= *total) {
        let problem = format!(
            "{doomed_under} is not shorter than timeout.total ({total}): nothing could pass"
        );
        return Err(Error::new(&format!("{path}.doomed_under"), &problem));
    }
    let propagate = match raw.propagate {
        Some(names) => forms(&format!("{path}.propagate"), names)?,
        None => default.propagate,
    };
    let adaptive = raw
        .adaptive
        .map(|raw| adaptive(&format!("{path}.adaptive"), &raw));
    Ok(Limits {
        total,
        per_try,
        propagate,
        doomed_under,
        adaptive: adaptive.transpose()?,
    })
}

fn forms(path: &str, names: Vec<String>) -> Result<Vec<Form>, Error> {
    at_most(path, names.len(), Limits::FORMS_MAX)?;
    let forms = names.into_iter().enumerate().map(|(index, name)| {
        let at = format!("{path}[{index}]");
        let name = super::valid::header_name(&at, &name)?;
        if name.starts_with("x-envoy-") && name != "x-envoy-expected-rq-timeout-ms" {
            return Err(Error::new(
                &at,
                "steers Envoy's router; it cannot carry a deadline",
            ));
        }
        Ok(Form::of(name))
    });
    forms.collect()
}

fn adaptive(path: &str, raw: &RawAdaptive) -> Result<Follow, Error> {
    let follow = Follow {
        percentile: raw.percentile.map_or(Share::percent(99), |share| share.0),
        factor: raw.factor.map_or(200, |factor| factor.0 / 100),
        min: raw.min.map_or(Span::millis(100), |span| span.0),
        max: raw.max.map_or(Span::secs(15), |span| span.0),
        samples: raw.minimum_samples.unwrap_or(100),
    };
    within(&format!("{path}.factor"), follow.factor / 100, 1, 100)?;
    within(
        &format!("{path}.minimum_samples"),
        follow.samples,
        1,
        1_000_000,
    )?;
    followed(path, follow)
}

/// A percentile and its bounds.
pub(super) fn followed(path: &str, follow: Follow) -> Result<Follow, Error> {
    if follow.percentile == Share::NONE {
        return Err(Error::new(&format!("{path}.percentile"), "must be above 0"));
    }
    if follow.min < Span::millis(1) || follow.max < follow.min {
        let problem = format!(
            "{} to {} is no range of at least 1ms",
            follow.min, follow.max
        );
        return Err(Error::new(&format!("{path}.min"), &problem));
    }
    Ok(follow)
}

/// Whose marks are believed.
pub(super) fn trust(raw: RawTrust) -> Result<Trust, Error> {
    let identities = raw.identities.unwrap_or_default();
    let addresses = raw.addresses.unwrap_or_default();
    at_most("trust.identities", identities.len(), TRUSTED_MAX)?;
    at_most("trust.addresses", addresses.len(), TRUSTED_MAX)?;
    for (index, identity) in identities.iter().enumerate() {
        if identity.is_empty() || identity.len() > PATTERN_MAX {
            let problem = format!("write a URI of at most {PATTERN_MAX} bytes");
            return Err(Error::new(&format!("trust.identities[{index}]"), &problem));
        }
    }
    let networks = addresses.iter().enumerate().map(|(index, text)| {
        Network::parse(text).ok_or_else(|| {
            let problem = format!("\"{text}\" is no address and no network such as 10.0.0.0/8");
            Error::new(&format!("trust.addresses[{index}]"), &problem)
        })
    });
    Ok(Trust {
        networks: networks.collect::<Result<Vec<_>, _>>()?,
        identities,
    })
}
