//! The fallback ladder: what each rung may answer, and for what.

use seawall_policy::fallback::{Cause, Fallback, Grpc, Ladder, Rung, StaticResponse, Template};
use seawall_policy::stale;
use seawall_policy::time::Span;

use super::at::{At, Location, at};
use super::raw::fallback::{RawCause, RawGrpc, RawRung, RawStale, RawStatic};
use super::values::{cluster, header_name};

/// The causes that are known before the request went, so that it can still go elsewhere.
const ELSEWHERE: [Cause; 3] = [Cause::Open, Cause::Shed, Cause::Bulkhead];

/// The rungs in their order.
pub(super) fn ladder(raw: &At<'_, Vec<RawRung<'_>>>) -> Ladder {
    raw.at_most(raw.len(), Ladder::RUNGS_MAX);
    let mut ladder = Ladder::default();
    let mut stale = 0_usize;
    for at in raw.items() {
        stale = stale.saturating_add(usize::from(at!(at.stale).given().is_some()));
        ladder.rungs.extend(rung(&at));
    }
    if stale > 1 {
        raw.refuse("one rung with a stale answer is enough: name all its causes under \"on\"");
    }
    ladder
}

fn rung(raw: &At<'_, RawRung<'_>>) -> Option<Rung> {
    let (elsewhere, kept, given) = (at!(raw.cluster), at!(raw.stale), at!(raw.r#static));
    let answer = match (elsewhere.given(), kept.given(), given.given()) {
        (Some(raw), None, None) => {
            let name = cluster(raw);
            if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                raw.refuse("travels in a header: visible ASCII only");
            }
            Fallback::Cluster(name)
        }
        (None, Some(raw), None) => Fallback::Stale(stale(raw)),
        (None, None, Some(raw)) => Fallback::Static(fixed(raw)),
        _ => {
            raw.refuse("write one of \"cluster\", \"stale\" and \"static\"");
            return None;
        }
    };
    let elsewhere = matches!(answer, Fallback::Cluster(_));
    let on = match at!(raw.on).given() {
        Some(raw) => causes(raw, elsewhere),
        None if elsewhere => ELSEWHERE.into(),
        None => Cause::ALL.into(),
    };
    Some(Rung { on, answer })
}

fn causes(raw: &At<'_, Vec<RawCause>>, elsewhere: bool) -> Vec<Cause> {
    if raw.len() == 0 {
        raw.refuse("empty: write open, shed, bulkhead, deadline, failure or several of them");
    }
    let mut causes = Vec::new();
    for at in raw.items() {
        let cause = match at.said() {
            Some(RawCause::Open) | None => Cause::Open,
            Some(RawCause::Shed) => Cause::Shed,
            Some(RawCause::Bulkhead) => Cause::Bulkhead,
            Some(RawCause::Deadline) => Cause::Deadline,
            Some(RawCause::Failure) => Cause::Failure,
        };
        if elsewhere && !ELSEWHERE.contains(&cause) {
            let name = cause.name();
            at.refuse_as(format_args!(
                "another cluster cannot stand for {name}: the request can go elsewhere only before it went, and with \
                 time left"
            ));
        }
        causes.push(cause);
    }
    causes
}

fn stale(raw: &At<'_, RawStale<'_>>) -> stale::Settings {
    let (least, most) = (Span::secs(1), Span::secs(86_400));
    stale::Settings {
        max_age: at!(raw.max_age).within(Span::secs(600), least, most),
        authorized: at!(raw.authorized).or(false),
        cookies: at!(raw.cookies).or(false),
        ignored: ignored(&at!(raw.ignore_headers)),
    }
}

fn ignored(raw: &At<'_, Vec<&str>>) -> stale::Ignored {
    raw.at_most(raw.len(), stale::IGNORED_MAX);
    let mut ignored = stale::Ignored::default();
    for at in raw.items() {
        if let Err(why) = ignored.add(at.text()) {
            at.refuse_as(format_args!("{why}"));
        }
    }
    ignored
}

fn fixed(raw: &At<'_, RawStatic<'_>>) -> StaticResponse {
    let status = at!(raw.status).within(200, 200, 599);
    let body = at!(raw.body);
    body.at_most(body.text().len(), Ladder::BODY_MAX);
    if [204, 205, 304].contains(&status) && !body.text().is_empty() {
        body.refuse("an answer with this status has no body");
    }
    let given = at!(raw.headers);
    let content_type = at!(raw.content_type);
    one_line(&given, content_type.text());
    let mut headers = Vec::new();
    for (name, at) in given.entries() {
        one_line(&given, at.text());
        let value = template(&at, at.text());
        headers.push((header_name(&at, name), value));
    }
    StaticResponse {
        status: u16::try_from(status).unwrap_or(200),
        content_type: content_type.said().map(str::to_owned),
        headers,
        body: template(&body, body.text()),
        grpc: at!(raw.grpc).given().map(grpc),
    }
}

fn one_line(at: &Location<'_>, value: &str) {
    if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        at.refuse("a header's value holds a line break or a NUL");
    }
}

fn grpc(raw: &At<'_, RawGrpc<'_>>) -> Grpc {
    let (status, message) = (at!(raw.status), at!(raw.message));
    if status.given().is_none() {
        status.refuse("missing: 0 to 16, or a name such as \"unavailable\"");
    }
    Grpc {
        status: status.get().map_or(2, |status| status as u8),
        message: template(&message, message.text()),
    }
}

fn template(at: &Location<'_>, text: &str) -> Template {
    match Template::parse(text) {
        Ok(template) => template,
        Err(unknown) => {
            let known = Template::NAMES;
            at.refuse_as(format_args!(
                "unknown name in {{{{{unknown}}}}}; known: {known}"
            ));
            Template::default()
        }
    }
}
