//! From what is written to what is valid: defaults, limits, and what cannot work together.

use crate::breaker::window::{CALLS_MAX, Geometry};
use crate::breaker::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
use crate::json::Value;
use crate::policy::{Policy, Scope};
use crate::ratio::Share;
use crate::route::{Key, Routing, Upstream};
use crate::time::Span;

use super::cursor::Cursor;
use super::error::suggestion;
use super::path::Path;
use super::raw::{File, RawBreaker, RawKey, RawMode, RawPolicy, RawScope, RawUpstream, RawWindow};
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

/// A whole file.
pub(super) fn file(file: &Cursor<'_, File>, routing: &mut Routing) {
    let version = file.version();
    match version.get() {
        Some(VERSION) => {}
        Some(other) => {
            let problem = format_args!("{other} is unknown: this Seawall reads version {VERSION}");
            version.refuse_as(problem);
        }
        None => version.refuse_as(format_args!("missing: write \"version\": {VERSION}")),
    }
    let policies = file.policies();
    let count = policies.names().count();
    if count == 0 {
        policies.refuse("empty: write at least the policy \"default\"");
    }
    policies.at_most(count, POLICIES_MAX);
    let upstreams = file.upstreams();
    upstreams.at_most(upstreams.len(), UPSTREAMS_MAX);
    for name in policies.names() {
        let whole: Value = merge::inherited(&policies, name);
        let path = Path::Key(policies.path(), name);
        let policy = policy(name, &Cursor::new(path, Some(&whole), policies.wrong()));
        routing.policies.push(policy);
    }
    for index in 0..upstreams.len() {
        let upstream = upstream(&upstreams.item(index), &routing.policies);
        routing.upstreams.push(upstream);
    }
    let default = Routing::UPSTREAMS_MAX_DEFAULT;
    routing.upstreams_max = file.limits().upstreams().within(default, 1, 10_000);
    routing.trust = values::trust(&file.trust());
    routing.page = file.page().given().map(values::page);
}

fn upstream(raw: &Cursor<'_, RawUpstream>, policies: &[Policy]) -> Upstream {
    let wanted = raw.policy();
    let found = policies
        .iter()
        .position(|policy| policy.name == wanted.text());
    if found.is_none() {
        let known: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        let wanted_name = wanted.text();
        let near = suggestion(wanted_name, &known);
        wanted.refuse_as(format_args!("there is no policy \"{wanted_name}\"{near}"));
    }
    let keys = raw.max_keys();
    let key = match raw.key().get() {
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
        cluster: cluster(&raw.cluster()),
        policy: found.unwrap_or_default(),
        key,
    }
}

fn policy(name: &str, raw: &Cursor<'_, RawPolicy>) -> Policy {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        raw.refuse_as(format_args!(
            "a name is 1 to {NAME_MAX} letters, digits, \"_\" and \"-\""
        ));
    }
    let written = raw.breaker();
    let breaker = breaker(&written, raw.timeout().total().get());
    let time = timeout::time(&raw.timeout(), breaker.thresholds.slow_over);
    let bulkhead = raw.bulkhead().given().and_then(concurrency::bulkhead);
    let shedding = raw.shedding().given().and_then(concurrency::shedding);
    Policy {
        scope: match raw.scope().get() {
            None | Some(RawScope::Cluster) => Scope::Cluster,
            Some(RawScope::Route) => Scope::Route,
        },
        retries: match raw.retries().given() {
            Some(raw) => retries::retries(raw, &time),
            None => None,
        },
        time,
        outcomes: outcomes::outcomes(&raw.outcomes()),
        breaker,
        long_polls: requests::long_polls(&written.slow_call().long_poll()),
        probe: written.probe().given().map(values::probe),
        bulkhead,
        shedding,
        exempt: requests::exempt(&raw.exempt()),
        fallback: fallback::ladder(&raw.fallback()),
        answer_headers: raw.answer_headers().or(true),
        name: name.to_owned(),
    }
}

fn breaker(raw: &Cursor<'_, RawBreaker>, total: Option<Span>) -> Settings {
    let default = Settings::default();
    let (slow, open, half_open) = (raw.slow_call(), raw.open(), raw.half_open());
    let usual = default.thresholds;
    let (slow_over, wait) = probing(raw, total, &default);
    let (base, cap) = (open.base(), open.up_to());
    base.some(default.open.base);
    cap.some(default.open.cap);
    let (base, cap) = defaults::range(
        (base.get(), default.open.base),
        (cap.get(), default.open.cap),
    );
    let settings = Settings {
        mode: mode(raw),
        inbound: raw.inbound().or(default.inbound),
        thresholds: Thresholds {
            failure_rate: raw.failure_rate().or(usual.failure_rate),
            slow_rate: slow.rate().or(usual.slow_rate),
            slow_over,
            consecutive: raw.consecutive().get().unwrap_or(usual.consecutive),
            minimum_calls: raw
                .minimum_calls()
                .within(usual.minimum_calls, 1, 1_000_000),
        },
        window: match raw.window().given() {
            Some(raw) => window(raw),
            None => default.window,
        },
        open: OpenTime {
            base,
            cap,
            jitter: open.jitter().or(default.open.jitter),
        },
        half_open: HalfOpen {
            permits: half_open.permits().within(
                default.half_open.permits,
                1,
                Settings::PERMITS_MAX,
            ),
            wait,
        },
        ramp: raw.ramp().or(default.ramp),
        host_grace: raw.hosts().grace().or(default.host_grace),
    };
    if cap < base {
        let problem = format_args!("{cap} is shorter than open.for ({base})");
        open.up_to().refuse_as(problem);
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
fn probing(raw: &Cursor<'_, RawBreaker>, total: Option<Span>, default: &Settings) -> (Span, Span) {
    const JUDGED_AFTER: Span = Span::secs(1);
    let (slow, half_open) = (raw.slow_call(), raw.half_open());
    let (over, wait) = (slow.over(), half_open.wait());
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

fn mode(raw: &Cursor<'_, RawBreaker>) -> Mode {
    let share = raw.enforce();
    let mode = match raw.mode().get() {
        None | Some(RawMode::Enforce) => return Mode::Enforce(share.or(Share::ALL)),
        Some(RawMode::Shadow) => Mode::Shadow,
        Some(RawMode::Off) => Mode::Off,
        Some(RawMode::ForcedOpen) => Mode::ForcedOpen,
    };
    no_share(&share);
    mode
}

fn window(raw: &Cursor<'_, RawWindow>) -> Geometry {
    let (over, calls) = (raw.over(), raw.calls());
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
