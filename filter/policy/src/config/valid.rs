//! From what is written to what is valid: defaults, limits, and what cannot work together.

use crate::breaker::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
use crate::outcome::{Rules, flag};
use crate::policy::{Policy, Scope};
use crate::route::{Key, Routing, Upstream};
use crate::share::Share;
use crate::time::Span;
use crate::window::{CALLS_MAX, Geometry};

use super::error::{Error, suggestion};
use super::raw::{
    RawBreaker, RawKey, RawLimits, RawMode, RawOutcomes, RawPolicy, RawScope, RawUpstream,
    RawWindow,
};
use super::read::Path;
use super::{ladder, limits, load, retries};

const POLICIES_MAX: usize = 256;
const UPSTREAMS_MAX: usize = 1_024;
pub(super) const PATTERN_MAX: usize = 512;
const NAME_MAX: usize = 64;
const KEYS_DEFAULT: u32 = 100;

/// All policies and what they are for.
pub(super) fn routing(
    policies: Vec<(String, RawPolicy)>,
    upstreams: Vec<RawUpstream>,
    limits: &RawLimits,
) -> Result<Routing, Error> {
    if policies.is_empty() {
        return Err(Path::Root
            .key("policies")
            .error(format_args!("empty: write at least the policy \"default\"")));
    }
    at_most(&Path::Root.key("policies"), policies.len(), POLICIES_MAX)?;
    at_most(&Path::Root.key("upstreams"), upstreams.len(), UPSTREAMS_MAX)?;
    let mut routing = Routing::default();
    for (name, raw) in policies {
        routing.policies.push(policy(name, raw)?);
    }
    let path = Path::Root.key("upstreams");
    for (index, raw) in upstreams.into_iter().enumerate() {
        let upstream = upstream(&path.at(index), raw, &routing.policies)?;
        routing.upstreams.push(upstream);
    }
    let max = limits.upstreams.unwrap_or(Routing::UPSTREAMS_MAX_DEFAULT);
    within(&Path::Root.key("limits").key("upstreams"), max, 1, 10_000)?;
    routing.upstreams_max = max;
    Ok(routing)
}

fn upstream(path: &Path<'_>, raw: RawUpstream, policies: &[Policy]) -> Result<Upstream, Error> {
    let cluster = raw.cluster.unwrap_or_default();
    if cluster.is_empty() || cluster.len() > PATTERN_MAX {
        let problem = format_args!("write a cluster's name, of at most {PATTERN_MAX} bytes");
        return Err(path.key("cluster").error(problem));
    }
    let wanted = raw.policy.unwrap_or_default();
    let found = policies.iter().position(|policy| policy.name == wanted);
    let policy = found.ok_or_else(|| {
        let known: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        let near = suggestion(&wanted, &known);
        let problem = format_args!("there is no policy \"{wanted}\"{near}");
        path.key("policy").error(problem)
    })?;
    let keys = path.key("max_keys");
    let key = match (raw.key, raw.max_keys) {
        (Some(RawKey::Authority), max) => {
            let max_keys = max.unwrap_or(KEYS_DEFAULT);
            within(&keys, max_keys, 1, 1_000)?;
            Key::Authority { max_keys }
        }
        (None | Some(RawKey::Cluster), None) => Key::Cluster,
        (None | Some(RawKey::Cluster), Some(_)) => {
            return Err(keys.error(format_args!("needs \"key\": \"authority\" beside it")));
        }
    };
    Ok(Upstream {
        cluster,
        policy,
        key,
    })
}

fn policy(name: String, raw: RawPolicy) -> Result<Policy, Error> {
    let policies = Path::Root.key("policies");
    let path = &policies.key(&name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
        let problem = format_args!("a name is 1 to {NAME_MAX} letters, digits, \"_\" and \"-\"");
        return Err(path.error(problem));
    }
    let time = limits::time(&path.key("timeout"), raw.timeout.unwrap_or_default())?;
    let mut written = raw.breaker.unwrap_or_default();
    let probe = match written.probe.take() {
        Some(raw) => Some(load::probe(&path.key("breaker").key("probe"), raw)?),
        None => None,
    };
    let breaker = breaker(&path.key("breaker"), written)?;
    let wait = breaker.half_open.wait;
    if let Some(total) = time.total.filter(|total| wait <= *total) {
        let problem = format_args!(
            "{wait} is not longer than timeout.total ({total}): a probe that takes as long as it may would open the \
             breaker again"
        );
        return Err(path
            .key("breaker")
            .key("half_open")
            .key("wait")
            .error(problem));
    }
    let retries = match raw.retries {
        Some(raw) => retries::retries(&path.key("retries"), raw, &time)?,
        None => None,
    };
    let bulkhead = match raw.bulkhead {
        Some(raw) => load::bulkhead(&path.key("bulkhead"), raw)?,
        None => None,
    };
    let shedding = match raw.shedding {
        Some(raw) => load::shedding(&path.key("shedding"), raw)?,
        None => None,
    };
    load::agree(path, bulkhead.as_ref(), shedding.as_ref())?;
    Ok(Policy {
        scope: match raw.scope {
            None | Some(RawScope::Cluster) => Scope::Cluster,
            Some(RawScope::Route) => Scope::Route,
        },
        time,
        retries,
        outcomes: outcomes(&path.key("outcomes"), raw.outcomes.unwrap_or_default())?,
        breaker,
        probe,
        bulkhead,
        shedding,
        fallback: ladder::ladder(&path.key("fallback"), raw.fallback.unwrap_or_default())?,
        answer_headers: raw.answer_headers.unwrap_or(true),
        name,
    })
}

fn outcomes(path: &Path<'_>, raw: RawOutcomes) -> Result<Rules, Error> {
    let mut rules = Rules::default();
    let failure = raw.failure.unwrap_or_default();
    let overloaded = raw.overloaded.unwrap_or_default();
    if let Some(status) = failure.status {
        rules.failure_status = statuses(&path.key("failure").key("status"), status, 100, 599)?;
    }
    if let Some(grpc) = failure.grpc {
        rules.failure_grpc = statuses(&path.key("failure").key("grpc"), grpc, 1, 16)?;
    }
    if let Some(flags) = failure.flags {
        rules.failure_flags = 0;
        for (index, name) in flags.iter().enumerate() {
            let known = flag::FAILURES.iter().find(|(known, _)| known == name);
            let Some((_, bit)) = known else {
                let problem = format_args!("unknown flag \"{name}\"; known: UT, UR, UF, UC, UPE");
                return Err(path.key("failure").key("flags").at(index).error(problem));
            };
            rules.failure_flags |= bit;
        }
    }
    if let Some(status) = overloaded.status {
        rules.overloaded_status =
            statuses(&path.key("overloaded").key("status"), status, 100, 599)?;
    }
    if let Some(grpc) = overloaded.grpc {
        rules.overloaded_grpc = statuses(&path.key("overloaded").key("grpc"), grpc, 1, 16)?;
    }
    if overloaded.flags.is_some() {
        let problem =
            format_args!("flags say that an upstream failed; they stand under failure only");
        return Err(path.key("overloaded").key("flags").error(problem));
    }
    Ok(rules)
}

fn statuses(path: &Path<'_>, statuses: Vec<u32>, min: u32, max: u32) -> Result<Vec<u16>, Error> {
    let mut checked = Vec::new();
    for (index, status) in statuses.into_iter().enumerate() {
        within(&path.at(index), status, min, max)?;
        checked.push(u16::try_from(status).unwrap_or(u16::MAX));
    }
    Ok(checked)
}

fn breaker(path: &Path<'_>, raw: RawBreaker) -> Result<Settings, Error> {
    let default = Settings::default();
    let slow = raw.slow_call.unwrap_or_default();
    let open = raw.open.unwrap_or_default();
    let half_open = raw.half_open.unwrap_or_default();
    let grace = raw.hosts.and_then(|hosts| hosts.grace);
    let settings = Settings {
        mode: mode(path, raw.mode, raw.enforce.map(|share| share.0))?,
        inbound: raw.inbound.unwrap_or(default.inbound),
        thresholds: Thresholds {
            failure_rate: raw
                .failure_rate
                .map_or(default.thresholds.failure_rate, |rate| rate.0),
            slow_rate: slow
                .rate
                .map_or(default.thresholds.slow_rate, |rate| rate.0),
            slow_over: slow
                .over
                .map_or(default.thresholds.slow_over, |over| over.0),
            consecutive: raw.consecutive.unwrap_or(default.thresholds.consecutive),
            minimum_calls: raw
                .minimum_calls
                .unwrap_or(default.thresholds.minimum_calls),
        },
        window: raw
            .window
            .map_or(Ok(default.window), |raw| window(&path.key("window"), &raw))?,
        open: OpenTime {
            base: open.base.map_or(default.open.base, |base| base.0),
            cap: open.up_to.map_or(default.open.cap, |cap| cap.0),
            jitter: open.jitter.map_or(default.open.jitter, |jitter| jitter.0),
        },
        half_open: HalfOpen {
            permits: half_open.permits.unwrap_or(default.half_open.permits),
            wait: half_open.wait.map_or(default.half_open.wait, |wait| wait.0),
        },
        ramp: raw.ramp.map_or(default.ramp, |ramp| ramp.0),
        host_grace: grace.map_or(default.host_grace, |grace| grace.0),
    };
    consistent(path, &settings)?;
    Ok(settings)
}

fn mode(path: &Path<'_>, mode: Option<RawMode>, share: Option<Share>) -> Result<Mode, Error> {
    let mode = match mode {
        None | Some(RawMode::Enforce) => return Ok(Mode::Enforce(share.unwrap_or(Share::ALL))),
        Some(RawMode::Shadow) => Mode::Shadow,
        Some(RawMode::Off) => Mode::Off,
        Some(RawMode::ForcedOpen) => Mode::ForcedOpen,
    };
    no_share(path, share)?;
    Ok(mode)
}

/// Without `mode: enforce` there is no share to enforce.
pub(super) fn no_share(path: &Path<'_>, share: Option<Share>) -> Result<(), Error> {
    if share.is_some() {
        let problem = format_args!("a share can be enforced with \"mode\": \"enforce\" only");
        return Err(path.key("enforce").error(problem));
    }
    Ok(())
}

fn window(path: &Path<'_>, raw: &RawWindow) -> Result<Geometry, Error> {
    match (raw.over, raw.calls) {
        (Some(over), None) => {
            if !(Span::millis(100)..=Span::secs(3_600)).contains(&over.0) {
                let problem = format_args!("{} is out of bounds: 100ms to 1h", over.0);
                return Err(path.key("over").error(problem));
            }
            Ok(Geometry::time(over.0))
        }
        (None, Some(calls)) => {
            within(&path.key("calls"), calls, 1, u32::from(CALLS_MAX))?;
            Ok(Geometry::count(u16::try_from(calls).unwrap_or(CALLS_MAX)))
        }
        (None, None) | (Some(_), Some(_)) => {
            let problem = format_args!("write either \"over\" (a time) or \"calls\" (a number)");
            Err(path.error(problem))
        }
    }
}

fn consistent(path: &Path<'_>, settings: &Settings) -> Result<(), Error> {
    within(
        &path.key("minimum_calls"),
        settings.thresholds.minimum_calls,
        1,
        1_000_000,
    )?;
    let half_open = path.key("half_open");
    within(
        &half_open.key("permits"),
        settings.half_open.permits,
        1,
        Settings::PERMITS_MAX,
    )?;
    let above_zero = [
        ("slow_call.over", settings.thresholds.slow_over),
        ("open.for", settings.open.base),
        ("half_open.wait", settings.half_open.wait),
    ];
    for (key, span) in above_zero {
        if span == Span::ZERO {
            return Err(path
                .key(key)
                .error(format_args!("must be longer than nothing")));
        }
    }
    let OpenTime { base, cap, .. } = settings.open;
    if cap < base {
        let problem = format_args!("{cap} is shorter than open.for ({base})");
        return Err(path.key("open").key("up_to").error(problem));
    }
    let nothing_trips = settings.thresholds.failure_rate == Share::NONE
        && settings.thresholds.slow_rate == Share::NONE
        && settings.thresholds.consecutive == 0;
    if nothing_trips && settings.mode.counts() {
        let problem = format_args!(
            "failure_rate, slow_call.rate and consecutive are all off: write \"mode\": \"off\" if it never opens"
        );
        return Err(path.error(problem));
    }
    Ok(())
}

/// A header's name in lower case; refused where it is none, or where Envoy or Seawall sets it.
pub(super) fn header_name(path: &Path<'_>, name: &str) -> Result<String, Error> {
    const TAKEN: [&str; 10] = [
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "grpc-message",
        "grpc-status",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let headers = path.key("headers");
    let at = headers.key(name);
    let lower = token(&at, name)?;
    if TAKEN.contains(&lower.as_str()) || lower.starts_with("x-seawall-") {
        return Err(at.error(format_args!(
            "set by Seawall or Envoy; it cannot be given here"
        )));
    }
    Ok(lower)
}

/// The name of a header, in lower case.
pub(super) fn token(path: &Path<'_>, name: &str) -> Result<String, Error> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > PATTERN_MAX || !name.bytes().all(token) {
        return Err(path.error(format_args!("no name of a header")));
    }
    Ok(name.to_ascii_lowercase())
}

pub(super) fn within(path: &Path<'_>, value: u32, min: u32, max: u32) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(path.error(format_args!("{value} is out of bounds: {min} to {max}")))
}

pub(super) fn at_most(path: &Path<'_>, length: usize, max: usize) -> Result<(), Error> {
    if length <= max {
        return Ok(());
    }
    Err(path.error(format_args!("{length} are too many: at most {max}")))
}
