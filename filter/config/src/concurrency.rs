//! What keeps load away and looks after an upstream: bulkhead, shedding, own probe, state page.

use seawall_policy::bulkhead::{self, Per, Until};
use seawall_policy::concurrency::partitions;
use seawall_policy::limiter;
use seawall_policy::priority::{self, Priority};
use seawall_policy::ratio::Share;
use seawall_policy::shedding::{self, Limit, Shares};
use seawall_policy::time::Span;

use super::at::{At, at};
use super::defaults;
use super::raw::concurrency::{
    RawBulkhead, RawLimit, RawPer, RawPriorities, RawPriority, RawShares, RawShedding, RawUntil,
};
use super::units::Percent;
use super::values::{enforcement, token};

/// The bulkhead; `None` where it is off.
pub(super) fn bulkhead(raw: &At<'_, RawBulkhead<'_>>) -> Option<bulkhead::Settings> {
    let mode = enforcement(at!(raw.mode).said(), &at!(raw.enforce))?;
    let most = at!(raw.max_concurrent);
    if most.given().is_none() {
        most.refuse("missing: how many at the same time");
    }
    Some(bulkhead::Settings {
        mode,
        max_concurrent: most.within(1, 1, bulkhead::Settings::PLACES_MAX),
        per: at!(raw.per).given().map(per),
        until: until(&at!(raw.until)),
        unfinished: unfinished(&at!(raw.unfinished)),
    })
}

fn per(raw: &At<'_, RawPer<'_>>) -> Per {
    let header = at!(raw.header);
    Per {
        header: token(&header, header.text()),
        max_keys: at!(raw.max_keys).within(partitions::VALUES, 1, partitions::VALUES_MAX),
    }
}

/// Shedding; `None` where it is off.
pub(super) fn shedding(raw: &At<'_, RawShedding<'_>>) -> Option<shedding::Settings> {
    let mode = enforcement(at!(raw.mode).said(), &at!(raw.enforce))?;
    let default = shedding::Settings::default();
    let limit = limit(raw);
    let load_over = at!(raw.load_over).or(default.load_over);
    if limit == Limit::None && load_over == Share::NONE {
        raw.refuse("limit is none and load_over is 0: write \"mode\": \"off\" if nothing is shed");
    }
    let (least, most) = (Span::secs(1), Span::secs(3_600));
    Some(shedding::Settings {
        mode,
        limit,
        shares: shares(&at!(raw.shares)),
        priorities: priorities(&at!(raw.priorities)),
        load_over,
        retry_after: at!(raw.retry_after).within(default.retry_after, least, most),
        until: until(&at!(raw.until)),
        unfinished: unfinished(&at!(raw.unfinished)),
    })
}

fn limit(raw: &At<'_, RawShedding<'_>>) -> Limit {
    let max = shedding::Settings::LIMIT_MAX;
    let (least, most, first) = (at!(raw.min), at!(raw.max), at!(raw.initial));
    let stray = |kind: &str| {
        for bound in [&least, &first] {
            if bound.given().is_some() {
                let problem = format_args!("bounds an adaptive limit; this one is {kind}");
                bound.refuse_as(problem);
            }
        }
    };
    match at!(raw.limit).said() {
        Some(RawLimit::Fixed) => {
            stray("fixed");
            if most.given().is_none() {
                most.refuse("missing: the limit");
            }
            Limit::Fixed(most.within(1, 1, max))
        }
        Some(RawLimit::None) => {
            stray("none");
            most.within(1, 1, max);
            Limit::None
        }
        None | Some(RawLimit::Adaptive) => {
            let default = shedding::Settings::ADAPTIVE;
            for bound in [&least, &most, &first] {
                bound.within(1, 1, max);
            }
            let usual = (default.floor, default.ceiling);
            let first = first.get();
            let lower = first.map_or(usual.0, |first| usual.0.min(first));
            let upper = first.map_or(usual.1, |first| usual.1.max(first));
            let (floor, ceiling) = defaults::range((least.get(), lower), (most.get(), upper));
            let initial = first.unwrap_or(floor);
            if floor > ceiling || !(floor..=ceiling).contains(&initial) {
                raw.refuse_as(format_args!(
                    "min {floor}, initial {initial}, max {ceiling}: must grow in this order"
                ));
            }
            Limit::Adaptive(limiter::Settings {
                floor,
                ceiling,
                initial,
                ..default
            })
        }
    }
}

fn shares(raw: &At<'_, RawShares>) -> Shares {
    let given = [
        at!(raw.critical_plus),
        at!(raw.critical),
        at!(raw.sheddable_plus),
        at!(raw.sheddable),
    ];
    let [a, b, c, d] = shedding::Settings::default().shares.0;
    let [e, f, g, h] = &given;
    let shares = defaults::falling([(e.get(), a), (f.get(), b), (g.get(), c), (h.get(), d)]);
    let mut above = Share::ALL;
    for (share, given) in shares.iter().zip(&given) {
        if *share > above || *share == Share::NONE {
            given.refuse_as(format_args!(
                "{share} is out of bounds: above 0 %, and at most {above}, as the priority above it"
            ));
        }
        above = *share;
    }
    Shares(shares)
}

fn priorities(raw: &At<'_, RawPriorities<'_>>) -> priority::Settings {
    let default = priority::Settings::default();
    let header = at!(raw.header);
    priority::Settings {
        header: match header.said() {
            Some(name) => token(&header, name),
            None => default.header,
        },
        default: match at!(raw.default).said() {
            None => default.default,
            Some(RawPriority::CriticalPlus) => Priority::CriticalPlus,
            Some(RawPriority::Critical) => Priority::Critical,
            Some(RawPriority::SheddablePlus) => Priority::SheddablePlus,
            Some(RawPriority::Sheddable) => Priority::Sheddable,
        },
    }
}

fn unfinished(raw: &At<'_, Percent>) -> Share {
    let share = raw.or(bulkhead::Settings::UNFINISHED);
    if share < Share::percent(1) {
        raw.refuse_as(format_args!("{share} is out of bounds: 1 to 100"));
    }
    share
}

fn until(raw: &At<'_, RawUntil>) -> Until {
    match raw.said() {
        Some(RawUntil::Headers) => Until::Headers,
        None | Some(RawUntil::End) => Until::End,
    }
}
