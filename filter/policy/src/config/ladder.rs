//! The fallback ladder: what each rung may answer, and for what.

use crate::fallback::{Answer, Cause, Grpc, Ladder, Rung, Static, Template};
use crate::stale;
use crate::time::Span;

use super::error::Error;
use super::raw::{RawCause, RawGrpc, RawRung, RawStale, RawStatic};
use super::read::Path;
use super::valid::{PATTERN_MAX, at_most, header_name, within};

/// The causes that are known before the request went, so that it can still go elsewhere.
const ELSEWHERE: [Cause; 3] = [Cause::Open, Cause::Shed, Cause::Bulkhead];

/// The rungs in their order.
pub(super) fn ladder(path: &Path<'_>, raw: Vec<RawRung>) -> Result<Ladder, Error> {
    at_most(path, raw.len(), Ladder::RUNGS_MAX)?;
    let mut ladder = Ladder::default();
    for (index, raw) in raw.into_iter().enumerate() {
        ladder.rungs.push(rung(&path.at(index), raw)?);
    }
    let stale = |rung: &&Rung| matches!(rung.answer, Answer::Stale(_));
    if ladder.rungs.iter().filter(stale).count() > 1 {
        return Err(path.error(format_args!(
            "one rung with a stale answer is enough: name all its causes under \"on\""
        )));
    }
    Ok(ladder)
}

fn rung(path: &Path<'_>, raw: RawRung) -> Result<Rung, Error> {
    let answer = match (raw.cluster, raw.stale, raw.fixed) {
        (Some(cluster), None, None) => {
            if cluster.is_empty() || cluster.len() > PATTERN_MAX {
                let problem =
                    format_args!("write a cluster's name, of at most {PATTERN_MAX} bytes");
                return Err(path.key("cluster").error(problem));
            }
            let visible = |byte: u8| byte.is_ascii_graphic();
            if !cluster.bytes().all(visible) {
                let problem = format_args!("travels in a header: visible ASCII only");
                return Err(path.key("cluster").error(problem));
            }
            Answer::Cluster(cluster)
        }
        (None, Some(raw), None) => Answer::Stale(stale(&path.key("stale"), &raw)?),
        (None, None, Some(raw)) => Answer::Static(fixed(&path.key("static"), raw)?),
        _ => {
            let problem = format_args!("write one of \"cluster\", \"stale\" and \"static\"");
            return Err(path.error(problem));
        }
    };
    let elsewhere = matches!(answer, Answer::Cluster(_));
    let on: Vec<Cause> = match raw.on {
        Some(on) => on.into_iter().map(cause).collect(),
        None if elsewhere => ELSEWHERE.into(),
        None => Cause::ALL.into(),
    };
    let causes = path.key("on");
    if on.is_empty() {
        return Err(causes.error(format_args!(
            "empty: write open, shed, bulkhead, deadline, failure or several of them"
        )));
    }
    for (index, cause) in on.iter().enumerate() {
        if elsewhere && !ELSEWHERE.contains(cause) {
            let problem = format_args!(
                "another cluster cannot stand for {}: the request can go elsewhere only before it went, and with time \
                 left",
                cause.name()
            );
            return Err(causes.at(index).error(problem));
        }
    }
    Ok(Rung { on, answer })
}

const fn cause(raw: RawCause) -> Cause {
    match raw {
        RawCause::Open => Cause::Open,
        RawCause::Shed => Cause::Shed,
        RawCause::Bulkhead => Cause::Bulkhead,
        RawCause::Deadline => Cause::Deadline,
        RawCause::Failure => Cause::Failure,
    }
}

fn stale(path: &Path<'_>, raw: &RawStale) -> Result<stale::Settings, Error> {
    let max_age = raw.max_age.map_or(Span::secs(600), |span| span.0);
    if !(Span::secs(1)..=Span::secs(86_400)).contains(&max_age) {
        let problem = format_args!("{max_age} is out of bounds: 1s to 24h");
        return Err(path.key("max_age").error(problem));
    }
    Ok(stale::Settings {
        max_age,
        authorized: raw.authorized.unwrap_or(false),
        cookies: raw.cookies.unwrap_or(false),
    })
}

fn fixed(path: &Path<'_>, raw: RawStatic) -> Result<Static, Error> {
    let status = raw.status.unwrap_or(200);
    within(&path.key("status"), status, 200, 599)?;
    let body = raw.body.unwrap_or_default();
    at_most(&path.key("body"), body.len(), Ladder::BODY_MAX)?;
    let given = raw.headers;
    let given = given.map_or_else(Vec::new, |given| given.0);
    let values = given.iter().map(|(_, value)| value);
    let mut values = values.chain(raw.content_type.as_ref());
    if values.any(|value| value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))) {
        let problem = format_args!("a header's value holds a line break or a NUL");
        return Err(path.key("headers").error(problem));
    }
    let mut headers = Vec::new();
    for (name, value) in given {
        let value = template(&path.key("headers").key(&name), &value)?;
        headers.push((header_name(path, &name)?, value));
    }
    let grpc = match raw.grpc {
        Some(raw) => Some(grpc(&path.key("grpc"), &raw)?),
        None => None,
    };
    Ok(Static {
        status: u16::try_from(status).unwrap_or(200),
        content_type: raw.content_type,
        headers,
        body: template(&path.key("body"), &body)?,
        grpc,
    })
}

fn grpc(path: &Path<'_>, raw: &RawGrpc) -> Result<Grpc, Error> {
    let at = path.key("status");
    let status = raw
        .status
        .ok_or_else(|| at.error(format_args!("missing: 0 to 16")))?;
    within(&at, status, 0, 16)?;
    Ok(Grpc {
        status: u8::try_from(status).unwrap_or(2),
        message: template(
            &path.key("message"),
            raw.message.as_deref().unwrap_or_default(),
        )?,
    })
}

fn template(path: &Path<'_>, text: &str) -> Result<Template, Error> {
    Template::parse(text).map_err(|unknown| {
        let known = Template::NAMES;
        path.error(format_args!(
            "unknown name in {{{{{unknown}}}}}; known: {known}"
        ))
    })
}
