//! From what is written to what is valid: defaults, limits, and what cannot work together.

use crate::breaker::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
use crate::fallback::{Answer, Cause, Grpc, Ladder, Rung, Static};
use crate::outcome::{Rules, flag};
use crate::policy::{Policy, Scope};
use crate::route::{Key, Routing, Upstream};
use crate::share::Share;
use crate::time::Span;
use crate::window::{CALLS_MAX, Geometry};

use super::error::{Error, suggestion};
use super::raw::{
    RawBreaker, RawCause, RawKey, RawLimits, RawMode, RawOutcomes, RawPolicy, RawRung, RawScope,
    RawStatic, RawUpstream, RawWindow,
};
use super::{limits, retries};

const POLICIES_MAX: usize = 256;
const UPSTREAMS_MAX: usize = 1_024;
const PATTERN_MAX: usize = 512;
const NAME_MAX: usize = 64;
const KEYS_DEFAULT: u32 = 100;

/// All policies and what they are for.
pub(super) fn routing(
    policies: Vec<(String, RawPolicy)>,
    upstreams: Vec<RawUpstream>,
    limits: &RawLimits,
) -> Result<Routing, Error> {
    if policies.is_empty() {
        return Err(Error::new(
            "policies",
            "empty: write at least the policy \"default\"",
        ));
    }
    at_most("policies", policies.len(), POLICIES_MAX)?;
    at_most("upstreams", upstreams.len(), UPSTREAMS_MAX)?;
    let policies = policies
        .into_iter()
        .map(|(name, raw)| policy(name, raw))
        .collect::<Result<Vec<_>, _>>()?;
    let upstreams = upstreams
        .into_iter()
        .enumerate()
        .map(|(index, raw)| upstream(&format!("upstreams[{index}]"), raw, &policies))
        .collect::<Result<Vec<_>, _>>()?;
    let max = limits.upstreams.unwrap_or(Routing::UPSTREAMS_MAX_DEFAULT);
    within("limits.upstreams", max, 1, 10_000)?;
    Ok(Routing {
        policies,
        upstreams,
        upstreams_max: max,
        ..Routing::default()
    })
}

fn upstream(path: &str, raw: RawUpstream, policies: &[Policy]) -> Result<Upstream, Error> {
    let cluster = raw.cluster.unwrap_or_default();
    if cluster.is_empty() || cluster.len() > PATTERN_MAX {
        let problem = format!("write a cluster's name, of at most {PATTERN_MAX} bytes");
        return Err(Error::new(&format!("{path}.cluster"), &problem));
    }
    let wanted = raw.policy.unwrap_or_default();
    let found = policies.iter().position(|policy| policy.name == wanted);
    let policy = found.ok_or_else(|| {
        let known: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        let near = suggestion(&wanted, &known);
        let problem = format!("there is no policy \"{wanted}\"{near}");
        Error::new(&format!("{path}.policy"), &problem)
    })?;
    let keys = format!("{path}.max_keys");
    let key = match (raw.key, raw.max_keys) {
        (Some(RawKey::Authority), max) => {
            let max_keys = max.unwrap_or(KEYS_DEFAULT);
            within(&keys, max_keys, 1, 1_000)?;
            Key::Authority { max_keys }
        }
        (None | Some(RawKey::Cluster), None) => Key::Cluster,
        (None | Some(RawKey::Cluster), Some(_)) => {
            return Err(Error::new(&keys, "needs \"key\": \"authority\" beside it"));
        }
    };
    Ok(Upstream {
        cluster,
        policy,
        key,
    })
}

fn policy(name: String, raw: RawPolicy) -> Result<Policy, Error> {
    let path = format!("policies.{name}");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
        let problem = format!("a name is 1 to {NAME_MAX} letters, digits, \"_\" and \"-\"");
        return Err(Error::new(&path, &problem));
    }
    let time = limits::time(&format!("{path}.timeout"), raw.timeout.unwrap_or_default())?;
    let breaker = breaker(&format!("{path}.breaker"), raw.breaker.unwrap_or_default())?;
    let wait = breaker.half_open.wait;
    if let Some(total) = time.total.filter(|total| wait <= *total) {
        let problem = format!(
            "{wait} is not longer than timeout.total ({total}): a probe that takes as long as it may would open the \
             breaker again"
        );
        return Err(Error::new(
            &format!("{path}.breaker.half_open.wait"),
            &problem,
        ));
    }
    let retries = match raw.retries {
        Some(raw) => retries::retries(&format!("{path}.retries"), raw, &time)?,
        None => None,
    };
    Ok(Policy {
        scope: match raw.scope {
            None | Some(RawScope::Cluster) => Scope::Cluster,
            Some(RawScope::Route) => Scope::Route,
        },
        time,
        retries,
        outcomes: outcomes(
            &format!("{path}.outcomes"),
            raw.outcomes.unwrap_or_default(),
        )?,
        breaker,
        fallback: ladder(
            &format!("{path}.fallback"),
            raw.fallback.unwrap_or_default(),
        )?,
        name,
    })
}

fn outcomes(path: &str, raw: RawOutcomes) -> Result<Rules, Error> {
    let mut rules = Rules::default();
    let failure = raw.failure.unwrap_or_default();
    let overloaded = raw.overloaded.unwrap_or_default();
    if let Some(status) = failure.status {
        rules.failure_status = statuses(&format!("{path}.failure.status"), status, 100, 599)?;
    }
    if let Some(grpc) = failure.grpc {
        rules.failure_grpc = statuses(&format!("{path}.failure.grpc"), grpc, 1, 16)?;
    }
    if let Some(flags) = failure.flags {
        rules.failure_flags = 0;
        for (index, name) in flags.iter().enumerate() {
            let known = flag::FAILURES.iter().find(|(known, _)| known == name);
            let Some((_, bit)) = known else {
                let problem = format!("unknown flag \"{name}\"; known: UT, UR, UF, UC, UPE");
                return Err(Error::new(
                    &format!("{path}.failure.flags[{index}]"),
                    &problem,
                ));
            };
            rules.failure_flags |= bit;
        }
    }
    if let Some(status) = overloaded.status {
        rules.overloaded_status = statuses(&format!("{path}.overloaded.status"), status, 100, 599)?;
    }
    if let Some(grpc) = overloaded.grpc {
        rules.overloaded_grpc = statuses(&format!("{path}.overloaded.grpc"), grpc, 1, 16)?;
    }
    if overloaded.flags.is_some() {
        let problem = "flags say that an upstream failed; they stand under failure only";
        return Err(Error::new(&format!("{path}.overloaded.flags"), problem));
    }
    Ok(rules)
}

fn statuses(path: &str, statuses: Vec<u32>, min: u32, max: u32) -> Result<Vec<u16>, Error> {
    let checked = statuses.into_iter().enumerate().map(|(index, status)| {
        within(&format!("{path}[{index}]"), status, min, max)?;
        Ok(u16::try_from(status).unwrap_or(u16::MAX))
    });
    checked.collect()
}

fn breaker(path: &str, raw: RawBreaker) -> Result<Settings, Error> {
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
        window: raw.window.map_or(Ok(default.window), |raw| {
            window(&format!("{path}.window"), &raw)
        })?,
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

fn mode(path: &str, mode: Option<RawMode>, share: Option<Share>) -> Result<Mode, Error> {
    let mode = match mode {
        None | Some(RawMode::Enforce) => return Ok(Mode::Enforce(share.unwrap_or(Share::ALL))),
        Some(RawMode::Shadow) => Mode::Shadow,
        Some(RawMode::Off) => Mode::Off,
        Some(RawMode::ForcedOpen) => Mode::ForcedOpen,
    };
    if share.is_some() {
        let problem = "a share can be enforced with \"mode\": \"enforce\" only";
        return Err(Error::new(&format!("{path}.enforce"), problem));
    }
    Ok(mode)
}

fn window(path: &str, raw: &RawWindow) -> Result<Geometry, Error> {
    match (raw.over, raw.calls) {
        (Some(over), None) => {
            if !(Span::millis(100)..=Span::secs(3_600)).contains(&over.0) {
                let problem = format!("{} is out of bounds: 100ms to 1h", over.0);
                return Err(Error::new(&format!("{path}.over"), &problem));
            }
            Ok(Geometry::time(over.0))
        }
        (None, Some(calls)) => {
            within(&format!("{path}.calls"), calls, 1, u32::from(CALLS_MAX))?;
            Ok(Geometry::count(u16::try_from(calls).unwrap_or(CALLS_MAX)))
        }
        (None, None) | (Some(_), Some(_)) => {
            let problem = "write either \"over\" (a time) or \"calls\" (a number)";
            Err(Error::new(path, problem))
        }
    }
}

fn consistent(path: &str, settings: &Settings) -> Result<(), Error> {
    within(
        &format!("{path}.minimum_calls"),
        settings.thresholds.minimum_calls,
        1,
        1_000_000,
    )?;
    let permits = format!("{path}.half_open.permits");
    within(
        &permits,
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
            return Err(Error::new(
                &format!("{path}.{key}"),
                "must be longer than nothing",
            ));
        }
    }
    let OpenTime { base, cap, .. } = settings.open;
    if cap < base {
        let problem = format!("{cap} is shorter than open.for ({base})");
        return Err(Error::new(&format!("{path}.open.up_to"), &problem));
    }
    let nothing_trips = settings.thresholds.failure_rate == Share::NONE
        && settings.thresholds.slow_rate == Share::NONE
        && settings.thresholds.consecutive == 0;
    if nothing_trips && settings.mode.counts() {
        let problem = "failure_rate, slow_call.rate and consecutive are all off: write \"mode\": \"off\" if it never opens";
        return Err(Error::new(path, problem));
    }
    Ok(())
}

fn ladder(path: &str, raw: Vec<RawRung>) -> Result<Ladder, Error> {
    at_most(path, raw.len(), Ladder::RUNGS_MAX)?;
    let rungs = raw.into_iter().enumerate().map(|(index, raw)| {
        let path = format!("{path}[{index}]");
        let on = raw
            .on
            .unwrap_or_else(|| vec![RawCause::Open, RawCause::Deadline, RawCause::Failure]);
        if on.is_empty() {
            return Err(Error::new(
                &format!("{path}.on"),
                "empty: write open, deadline, failure or several of them",
            ));
        }
        let on = on.into_iter().map(|cause| match cause {
            RawCause::Open => Cause::Open,
            RawCause::Deadline => Cause::Deadline,
            RawCause::Failure => Cause::Failure,
        });
        Ok(Rung {
            on: on.collect(),
            answer: Answer::Static(fixed(&format!("{path}.static"), raw.fixed)?),
        })
    });
    let rungs = rungs.collect::<Result<Vec<_>, _>>()?;
    Ok(Ladder { rungs })
}

fn fixed(path: &str, raw: Option<RawStatic>) -> Result<Static, Error> {
    let raw = raw.ok_or_else(|| Error::new(path, "missing: a rung needs an answer"))?;
    let status = raw.status.unwrap_or(200);
    within(&format!("{path}.status"), status, 200, 599)?;
    let body = raw.body.unwrap_or_default();
    at_most(&format!("{path}.body"), body.len(), Ladder::BODY_MAX)?;
    let given = raw.headers.unwrap_or_default();
    let values = given.values().chain(raw.content_type.as_ref());
    if values
        .into_iter()
        .any(|value| value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))
    {
        let problem = "a header's value holds a line break or a NUL";
        return Err(Error::new(&format!("{path}.headers"), problem));
    }
    let mut headers = Vec::new();
    for (name, value) in given {
        let name = header_name(path, &name)?;
        headers.push((name, value));
    }
    let grpc = raw.grpc.map(|grpc| {
        let path = format!("{path}.grpc.status");
        let status = grpc
            .status
            .ok_or_else(|| Error::new(&path, "missing: 0 to 16"))?;
        within(&path, status, 0, 16)?;
        Ok(Grpc {
            status: u8::try_from(status).unwrap_or(2),
            message: grpc.message.unwrap_or_default(),
        })
    });
    Ok(Static {
        status: u16::try_from(status).unwrap_or(200),
        content_type: raw.content_type,
        headers,
        body: body.into_bytes(),
        grpc: grpc.transpose()?,
    })
}

/// A header's name in lower case; refused where it is none, or where Envoy or Seawall sets it.
pub(super) fn header_name(path: &str, name: &str) -> Result<String, Error> {
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
    let at = format!("{path}.headers.{name}");
    let lower = name.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > PATTERN_MAX || !name.bytes().all(token) {
        return Err(Error::new(&at, "no name of a header"));
    }
    if TAKEN.contains(&lower.as_str()) || lower.starts_with("x-seawall-") {
        return Err(Error::new(
            &at,
            "set by Seawall or Envoy; it cannot be given here",
        ));
    }
    Ok(lower)
}

pub(super) fn within(path: &str, value: u32, min: u32, max: u32) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::new(
        path,
        &format!("{value} is out of bounds: {min} to {max}"),
    ))
}

pub(super) fn at_most(path: &str, length: usize, max: usize) -> Result<(), Error> {
    if length <= max {
        return Ok(());
    }
    Err(Error::new(
        path,
        &format!("{length} are too many: at most {max}"),
    ))
}
