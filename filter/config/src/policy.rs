//! From what is written to what is valid: defaults, limits, and what cannot work together.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use seawall_policy::breaker::window::{CALLS_MAX, Geometry};
use seawall_policy::breaker::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
use seawall_policy::json::Path;
use seawall_policy::policy::{Policy, Scope};
use seawall_policy::ratio::Share;
use seawall_policy::route::{Key, Routing, Upstream};
use seawall_policy::time::Span;

use super::at::{At, at};
use super::error::{Error, Problems, suggestion};
use super::raw::breaker::{RawBreaker, RawMode, RawWindow};
use super::raw::{File, RawKey, RawPolicy, RawScope, RawUpstream};
use super::reader::Reader;
use super::values::{cluster, no_share};
use super::{
    VERSION, concurrency, defaults, fallback, merge, outcomes, requests, retries, timeout, values,
};

const POLICIES_MAX: usize = 256;
const UPSTREAMS_MAX: usize = 1_024;
const NAME_MAX: usize = 64;
const KEYS_DEFAULT: u32 = 100;
/// A default that yields to a short `half_open.wait` takes no call for slow that is faster.
const SLOW_OVER_LEAST: Span = Span::secs(1);

/// A whole file: what was read, the tree it was read from, and what was skipped of that, being wrong.
pub(super) fn file(
    tree: &Value,
    file: &File,
    skipped: &[String],
    problems: &Problems,
    routing: &mut Routing,
) {
    let file = At::new(Path::Root, Some(file), problems);
    let version = at!(file.version);
    match version.get() {
        Some(VERSION) => {}
        Some(other) => {
            let problem = format_args!("{other} is unknown: this Seawall reads version {VERSION}");
            version.refuse_as(problem);
        }
        None if skipped.iter().any(|path| path == "version") => {}
        None => version.refuse_as(format_args!("missing: write \"version\": {VERSION}")),
    }
    let policies = at!(file.policies);
    let none = Map::new();
    let tree = tree.get("policies").and_then(Value::as_object);
    let tree = tree.unwrap_or(&none);
    let names: Vec<&str> = tree.keys().map(String::as_str).collect();
    if names.is_empty() && skipped.is_empty() {
        policies.refuse("empty: write at least the policy \"default\"");
    }
    policies.at_most(names.len(), POLICIES_MAX);
    let upstreams = at!(file.upstreams);
    upstreams.at_most(upstreams.len(), UPSTREAMS_MAX);
    routing.policies = self::policies(&policies, tree, skipped, problems);
    for upstream in upstreams.items() {
        routing.upstreams.push(self::upstream(&upstream, &names));
    }
    let default = Routing::UPSTREAMS_MAX_DEFAULT;
    routing.upstreams_max = at!(file.limits.upstreams).within(default, 1, 10_000);
    routing.trust = values::trust(&at!(file.trust));
    routing.page = at!(file.page).given().map(values::page);
}

/// All policies, each with what it extends. What is wrong with one is told once, and not again of those that extend it.
fn policies<'a>(
    written: &At<'a, BTreeMap<&'a str, RawPolicy<'a>>>,
    tree: &Map<String, Value>,
    skipped: &[String],
    problems: &Problems,
) -> Vec<Policy> {
    let mut policies = Vec::new();
    let mut wrong: Vec<(&str, Vec<Error>)> = Vec::new();
    let mut chains = Vec::new();
    for (name, at) in written.entries() {
        let Some(chain) = merge::chain(written, tree, name) else {
            continue;
        };
        let path = at.path();
        if chain.iter().any(|name| is_skipped(skipped, name)) {
            continue;
        }
        let found = Problems::new(problems.most());
        let mut take = |raw| policies.push(policy(name, &At::new(*path, Some(raw), &found)));
        match written.map().and_then(|written| written.get(name)) {
            // It extends nothing, and was read with the file.
            Some(raw) if chain.len() == 1 => take(raw),
            _ => {
                let merged = merge::merged(tree, &chain);
                match RawPolicy::deserialize(Reader::new(&merged, *path, &[])) {
                    Ok(raw) => take(&raw),
                    Err(error) => {
                        found.add(error.into());
                    }
                }
            }
        }
        wrong.push((name, found.into_all()));
        chains.push(chain);
    }
    // They came in the order of their names.
    let found_in = |name: &str| {
        let place = wrong.binary_search_by(|(known, _)| (*known).cmp(name));
        place
            .ok()
            .and_then(|place| wrong.get(place))
            .map(|(_, found)| found)
    };
    for chain in chains {
        let mut names = chain.into_iter();
        let own = names.next().and_then(&found_in);
        let inherits = names.any(|name| found_in(name).is_some_and(|found| !found.is_empty()));
        for error in own.into_iter().flatten().filter(|_| !inherits) {
            problems.add(error.clone());
        }
    }
    policies
}

/// Whether something in a policy was skipped, so that nothing more can be said of it.
fn is_skipped(skipped: &[String], name: &str) -> bool {
    let rest = |path: &str| {
        let rest = path.strip_prefix("policies.")?;
        rest.strip_prefix(name)
            .map(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    skipped.iter().any(|path| rest(path) == Some(true))
}

fn upstream(raw: &At<'_, RawUpstream<'_>>, policies: &[&str]) -> Upstream {
    let wanted = at!(raw.policy);
    let name = wanted.text();
    let found = policies.iter().position(|policy| *policy == name);
    if found.is_none() && !policies.is_empty() {
        let near = suggestion(name, policies);
        wanted.refuse_as(format_args!("there is no policy \"{name}\"{near}"));
    }
    let keys = at!(raw.max_keys);
    let key = match at!(raw.key).said() {
        Some(RawKey::Authority) => Key::Authority {
            max_keys: keys.within(KEYS_DEFAULT, 1, 1_000),
        },
        None | Some(RawKey::Cluster) => {
            if keys.given().is_some() {
                keys.refuse("needs \"key\": \"authority\" beside it");
            }
            Key::Cluster
        }
    };
    Upstream {
        cluster: cluster(&at!(raw.cluster)),
        policy: found.unwrap_or_default(),
        key,
    }
}

fn policy(name: &str, raw: &At<'_, RawPolicy<'_>>) -> Policy {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        raw.refuse_as(format_args!(
            "a name is 1 to {NAME_MAX} letters, digits, \"_\" and \"-\""
        ));
    }
    let written = at!(raw.breaker);
    let breaker = breaker(&written, at!(raw.timeout.total).get());
    let time = timeout::time(&at!(raw.timeout), breaker.thresholds.slow_over);
    let bulkhead = at!(raw.bulkhead).given().and_then(concurrency::bulkhead);
    let shedding = at!(raw.shedding).given().and_then(concurrency::shedding);
    Policy {
        scope: match at!(raw.scope).said() {
            None | Some(RawScope::Cluster) => Scope::Cluster,
            Some(RawScope::Route) => Scope::Route,
        },
        retries: match at!(raw.retries).given() {
            Some(raw) => retries::retries(raw, &time),
            None => None,
        },
        time,
        outcomes: outcomes::outcomes(&at!(raw.outcomes)),
        breaker,
        long_polls: requests::long_polls(&at!(written.slow_call.long_poll)),
        probe: at!(written.probe).given().map(values::probe),
        bulkhead,
        shedding,
        exempt: requests::exempt(&at!(raw.exempt)),
        fallback: fallback::ladder(&at!(raw.fallback)),
        answer_headers: at!(raw.answer_headers).or(true),
        name: name.to_owned(),
    }
}

fn breaker(raw: &At<'_, RawBreaker<'_>>, total: Option<Span>) -> Settings {
    let default = Settings::default();
    let (slow, open, half_open) = (at!(raw.slow_call), at!(raw.open), at!(raw.half_open));
    let usual = default.thresholds;
    let (slow_over, wait) = probing(raw, total, &default);
    let (base, cap) = (at!(open.r#for), at!(open.up_to));
    base.some(default.open.base);
    cap.some(default.open.cap);
    let (base, cap) = defaults::range(
        (base.get(), default.open.base),
        (cap.get(), default.open.cap),
    );
    let settings = Settings {
        mode: mode(raw),
        inbound: at!(raw.inbound).or(default.inbound),
        thresholds: Thresholds {
            failure_rate: at!(raw.failure_rate).or(usual.failure_rate),
            slow_rate: at!(slow.rate).or(usual.slow_rate),
            slow_over,
            consecutive: at!(raw.consecutive).get().unwrap_or(usual.consecutive),
            minimum_calls: at!(raw.minimum_calls).within(usual.minimum_calls, 1, 1_000_000),
        },
        window: match at!(raw.window).given() {
            Some(raw) => window(raw),
            None => default.window,
        },
        open: OpenTime {
            base,
            cap,
            jitter: at!(open.jitter).or(default.open.jitter),
        },
        half_open: HalfOpen {
            permits: at!(half_open.permits).within(
                default.half_open.permits,
                1,
                Settings::PERMITS_MAX,
            ),
            wait,
        },
        ramp: at!(raw.ramp).or(default.ramp),
        host_grace: at!(raw.hosts.grace).or(default.host_grace),
    };
    if cap < base {
        let problem = format_args!("{cap} is shorter than open.for ({base})");
        at!(open.up_to).refuse_as(problem);
    }
    let nothing_trips = settings.thresholds.failure_rate == Share::NONE
        && settings.thresholds.slow_rate == Share::NONE
        && settings.thresholds.consecutive == 0;
    if nothing_trips && settings.mode.counts() {
        raw.refuse(
            "failure_rate, slow_call.rate and consecutive are all off: write \"mode\": \"off\" if it never opens",
        );
    }
    settings
}

/// When a call is slow, and how long a half-open breaker waits for a verdict. A probe has to be judged within that time:
/// when `timeout.total` is over, or as a slow call, a second after it became one. Of the two the default one yields.
fn probing(raw: &At<'_, RawBreaker<'_>>, total: Option<Span>, default: &Settings) -> (Span, Span) {
    const JUDGED_AFTER: Span = Span::secs(1);
    let (slow, half_open) = (at!(raw.slow_call), at!(raw.half_open));
    let (over, wait) = (at!(slow.over), at!(half_open.wait));
    let usual = over.some(default.thresholds.slow_over);
    let slow_over = match (over.get(), wait.get()) {
        (None, Some(wait)) => usual.min(wait.less(JUDGED_AFTER)).max(SLOW_OVER_LEAST),
        _ => usual,
    };
    let judged = slow_over.plus(JUDGED_AFTER);
    let Some(written) = wait.get() else {
        let usual = default.half_open.wait.max(judged);
        return (slow_over, usual.max(total.unwrap_or(Span::ZERO)));
    };
    if let Some(total) = total.filter(|total| written < *total) {
        wait.refuse_as(format_args!(
            "{written} is shorter than timeout.total ({total}): a probe may take so long"
        ));
    }
    if written < judged {
        wait.refuse_as(format_args!(
            "{written} is shorter than slow_call.over ({slow_over}) and a second: a probe is judged that late"
        ));
    }
    (slow_over, written)
}

fn mode(raw: &At<'_, RawBreaker<'_>>) -> Mode {
    let share = at!(raw.enforce);
    let mode = match at!(raw.mode).said() {
        None | Some(RawMode::Enforce) => return Mode::Enforce(share.or(Share::ALL)),
        Some(RawMode::Shadow) => Mode::Shadow,
        Some(RawMode::Off) => Mode::Off,
        Some(RawMode::ForcedOpen) => Mode::ForcedOpen,
    };
    no_share(&share);
    mode
}

fn window(raw: &At<'_, RawWindow>) -> Geometry {
    let (over, calls) = (at!(raw.over), at!(raw.calls));
    if over.given().is_some() == calls.given().is_some() {
        raw.refuse("write either \"over\" (a time) or \"calls\" (a number)");
    }
    if calls.given().is_some() {
        let calls = calls.within(1, 1, u32::from(CALLS_MAX));
        return Geometry::count(u16::try_from(calls).unwrap_or(CALLS_MAX));
    }
    let least = Span::millis(100);
    Geometry::time(over.within(least, least, Span::secs(3_600)))
}
