//! What keeps load away and looks after an upstream: bulkhead, shedding, own probe, state page.

use crate::bulkhead::{self, Per, Until};
use crate::limiter;
use crate::page::Page;
use crate::priority::{self, Priority};
use crate::probe;
use crate::share::{Enforcement, Share};
use crate::shedding::{self, Limit, Shares};
use crate::time::Span;

use super::error::Error;
use super::limits;
use super::raw::{
    RawBulkhead, RawEnforcement, RawLimit, RawPage, RawPriorities, RawPriority, RawProbe,
    RawShares, RawShedding, RawUntil,
};
use super::read::Path;
use super::units::{Duration, Percent};
use super::valid::{PATTERN_MAX, no_share, token, within};

const KEYS_DEFAULT: u32 = 100;
const KEYS_MAX: u32 = 1_000;

/// The bulkhead; `None` where it is off.
pub(super) fn bulkhead(
    path: &Path<'_>,
    raw: RawBulkhead,
) -> Result<Option<bulkhead::Settings>, Error> {
    let Some(mode) = enforcement(path, raw.mode, raw.enforce)? else {
        return Ok(None);
    };
    let at = path.key("max_concurrent");
    let max_concurrent = raw
        .max_concurrent
        .ok_or_else(|| at.error(format_args!("missing: how many at the same time")))?;
    within(&at, max_concurrent, 1, bulkhead::Settings::PLACES_MAX)?;
    let per = match raw.per {
        None => None,
        Some(raw) => {
            let path = path.key("per");
            let max_keys = raw.max_keys.unwrap_or(KEYS_DEFAULT);
            within(&path.key("max_keys"), max_keys, 1, KEYS_MAX)?;
            Some(Per {
                header: token(&path.key("header"), &raw.header.unwrap_or_default())?,
                max_keys,
            })
        }
    };
    Ok(Some(bulkhead::Settings {
        mode,
        max_concurrent,
        per,
        until: until(raw.until),
    }))
}

/// A bulkhead for the whole upstream and shedding count the same requests, and so for the same time.
pub(super) fn agree(
    path: &Path<'_>,
    bulkhead: Option<&bulkhead::Settings>,
    shedding: Option<&shedding::Settings>,
) -> Result<(), Error> {
    let whole = bulkhead.filter(|bulkhead| bulkhead.per.is_none());
    match (whole, shedding) {
        (Some(bulkhead), Some(shedding)) if bulkhead.until != shedding.until => {
            let problem =
                format_args!("must be the same as bulkhead.until: both count the same requests");
            Err(path.key("shedding").key("until").error(problem))
        }
        _ => Ok(()),
    }
}

/// Shedding; `None` where it is off.
pub(super) fn shedding(
    path: &Path<'_>,
    raw: RawShedding,
) -> Result<Option<shedding::Settings>, Error> {
    let Some(mode) = enforcement(path, raw.mode, raw.enforce)? else {
        return Ok(None);
    };
    let default = shedding::Settings::default();
    let limit = limit(path, &raw)?;
    let load_over = raw.load_over.map_or(default.load_over, |share| share.0);
    if limit == Limit::None && load_over == Share::NONE {
        let problem = format_args!(
            "limit is none and load_over is 0: write \"mode\": \"off\" if nothing is shed"
        );
        return Err(path.error(problem));
    }
    let retry_after = raw.retry_after.map_or(default.retry_after, |span| span.0);
    between(
        &path.key("retry_after"),
        retry_after,
        Span::secs(1),
        Span::secs(3_600),
    )?;
    Ok(Some(shedding::Settings {
        mode,
        limit,
        shares: shares(&path.key("shares"), &raw.shares.unwrap_or_default())?,
        priorities: priorities(&path.key("priorities"), &raw.priorities.unwrap_or_default())?,
        load_over,
        retry_after,
        until: until(raw.until),
    }))
}

fn limit(path: &Path<'_>, raw: &RawShedding) -> Result<Limit, Error> {
    let max = shedding::Settings::LIMIT_MAX;
    for (key, value) in [("min", raw.min), ("max", raw.max), ("initial", raw.initial)] {
        if let Some(value) = value {
            within(&path.key(key), value, 1, max)?;
        }
    }
    let bounds = [("min", raw.min), ("initial", raw.initial)];
    let stray = |kind: &str| match bounds.iter().find(|(_, value)| value.is_some()) {
        Some((key, _)) => {
            let problem = format_args!("bounds an adaptive limit; this one is {kind}");
            Err(path.key(key).error(problem))
        }
        None => Ok(()),
    };
    match raw.limit {
        Some(RawLimit::Fixed) => {
            stray("fixed")?;
            let fixed = raw
                .max
                .ok_or_else(|| path.key("max").error(format_args!("missing: the limit")))?;
            Ok(Limit::Fixed(fixed))
        }
        Some(RawLimit::None) => {
            stray("none")?;
            Ok(Limit::None)
        }
        None | Some(RawLimit::Adaptive) => {
            let default = shedding::Settings::ADAPTIVE;
            let (min, max) = (raw.min.unwrap_or(default.floor), raw.max);
            let max = max.unwrap_or_else(|| min.max(default.ceiling));
            let initial = raw.initial.unwrap_or(min);
            if min > max || !(min..=max).contains(&initial) {
                let problem = format_args!(
                    "min {min}, initial {initial}, max {max}: must grow in this order"
                );
                return Err(path.error(problem));
            }
            Ok(Limit::Adaptive(limiter::Settings {
                floor: min,
                ceiling: max,
                initial,
                ..shedding::Settings::ADAPTIVE
            }))
        }
    }
}

fn shares(path: &Path<'_>, raw: &RawShares) -> Result<Shares, Error> {
    let mut shares = shedding::Settings::default().shares;
    let given = [
        &raw.critical_plus,
        &raw.critical,
        &raw.sheddable_plus,
        &raw.sheddable,
    ];
    let mut above = Share::ALL;
    for ((share, given), priority) in shares.0.iter_mut().zip(given).zip(Priority::ALL) {
        if let Some(given) = given {
            *share = given.0;
        }
        if *share > above || *share == Share::NONE {
            let problem = format_args!(
                "{share} is out of bounds: above 0 %, and at most {above}, as the priority above it"
            );
            return Err(path.key(priority.name()).error(problem));
        }
        above = *share;
    }
    Ok(shares)
}

fn priorities(path: &Path<'_>, raw: &RawPriorities) -> Result<priority::Settings, Error> {
    let default = priority::Settings::default();
    Ok(priority::Settings {
        header: match &raw.header {
            Some(name) => token(&path.key("header"), name)?,
            None => default.header,
        },
        default: match raw.default {
            None => default.default,
            Some(RawPriority::CriticalPlus) => Priority::CriticalPlus,
            Some(RawPriority::Critical) => Priority::Critical,
            Some(RawPriority::SheddablePlus) => Priority::SheddablePlus,
            Some(RawPriority::Sheddable) => Priority::Sheddable,
        },
    })
}

/// Seawall's own probe.
pub(super) fn probe(path: &Path<'_>, raw: RawProbe) -> Result<probe::Settings, Error> {
    let every = raw.every.map_or(Span::secs(2), |Duration(span)| span);
    let timeout = raw.timeout.map_or(Span::secs(1), |Duration(span)| span);
    let (least, most) = (Span::millis(100), Span::secs(3_600));
    between(&path.key("every"), every, least, most)?;
    let (least, most) = (Span::millis(1), Span::secs(60));
    between(&path.key("timeout"), timeout, least, most)?;
    if let Some(host) = &raw.host {
        visible(&path.key("host"), host)?;
    }
    Ok(probe::Settings {
        path: location(&path.key("path"), raw.path)?,
        host: raw.host,
        every,
        timeout,
    })
}

/// The state page.
pub(super) fn page(path: &Path<'_>, raw: RawPage) -> Result<Page, Error> {
    let at = path.key("trust");
    let trust = limits::trust(&at, raw.trust.unwrap_or_default())?;
    if trust.is_empty() {
        let problem =
            format_args!("empty: write who may read it, by \"addresses\" or \"identities\"");
        return Err(at.error(problem));
    }
    Ok(Page {
        path: location(&path.key("path"), raw.path)?,
        trust,
    })
}

/// A path as it stands in a request.
fn location(path: &Path<'_>, raw: Option<String>) -> Result<String, Error> {
    let raw = raw.unwrap_or_default();
    if !raw.starts_with('/') {
        return Err(path.error(format_args!("\"{raw}\": a path begins with \"/\"")));
    }
    visible(path, &raw)?;
    Ok(raw)
}

fn visible(path: &Path<'_>, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > PATTERN_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let problem = format_args!("1 to {PATTERN_MAX} visible ASCII characters");
        return Err(path.error(problem));
    }
    Ok(())
}

fn between(path: &Path<'_>, span: Span, least: Span, most: Span) -> Result<(), Error> {
    if (least..=most).contains(&span) {
        return Ok(());
    }
    Err(path.error(format_args!("{span} is out of bounds: {least} to {most}")))
}

/// `None` is off.
fn enforcement(
    path: &Path<'_>,
    mode: Option<RawEnforcement>,
    share: Option<Percent>,
) -> Result<Option<Enforcement>, Error> {
    let share = share.map(|share| share.0);
    if !matches!(mode, None | Some(RawEnforcement::Enforce)) {
        no_share(path, share)?;
    }
    Ok(match mode {
        None | Some(RawEnforcement::Enforce) => {
            Some(Enforcement::Enforce(share.unwrap_or(Share::ALL)))
        }
        Some(RawEnforcement::Shadow) => Some(Enforcement::Shadow),
        Some(RawEnforcement::Off) => None,
    })
}

const fn until(raw: Option<RawUntil>) -> Until {
    match raw {
        Some(RawUntil::Headers) => Until::Headers,
        None | Some(RawUntil::End) => Until::End,
    }
}
