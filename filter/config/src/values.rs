//! Values that stand in more than one place of a configuration: names, paths, bounds, whose word is believed.

use seawall_policy::health_check;
use seawall_policy::ratio::{Enforcement, Share};
use seawall_policy::state_page::StatePage;
use seawall_policy::time::Span;
use seawall_policy::trust::{Network, Trust};

use super::at::{At, Location, at};
use super::defaults;
use super::raw::breaker::RawProbe;
use super::raw::concurrency::RawEnforcement;
use super::raw::{RawPage, RawTrust};
use super::units::{Duration, Percent};

pub(super) const PATTERN_MAX: usize = 512;

/// A cluster's name, or a pattern of names.
pub(super) fn cluster(raw: &At<'_, &str>) -> String {
    let name = raw.text();
    if name.is_empty() || name.len() > PATTERN_MAX {
        raw.refuse_as(format_args!(
            "write a cluster's name, of at most {PATTERN_MAX} bytes"
        ));
    }
    name.to_owned()
}

/// Without `mode: enforce` there is no share to enforce.
pub(super) fn no_share(share: &At<'_, Percent>) {
    if share.given().is_some() {
        share.refuse("a share can be enforced with \"mode\": \"enforce\" only");
    }
}

/// The name of something outside the policy, which may hold any characters.
pub(super) fn name(raw: &At<'_, &str>, what: &str) -> String {
    let name = raw.text();
    if name.is_empty() || name.len() > PATTERN_MAX {
        raw.refuse_as(format_args!("write {what} of at most {PATTERN_MAX} bytes"));
    }
    name.to_owned()
}

/// A header's name in lower case; refused where it is none, or where Envoy or Seawall sets it.
pub(super) fn header_name(at: &Location<'_>, name: &str) -> String {
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
    let lower = token(at, name);
    if TAKEN.contains(&lower.as_str()) || lower.starts_with("x-seawall-") {
        at.refuse("set by Seawall or Envoy; it cannot be given here");
    }
    lower
}

/// The name of a header, in lower case.
pub(super) fn token(at: &Location<'_>, name: &str) -> String {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > PATTERN_MAX || !name.bytes().all(token) {
        at.refuse("no name of a header");
    }
    name.to_ascii_lowercase()
}

const TRUSTED_MAX: usize = 64;

/// A percentile that may be followed.
pub(super) fn above_nothing(at: &Location<'_>, percentile: Share) -> Share {
    if percentile == Share::NONE {
        at.refuse("must be above 0");
    }
    percentile
}

/// The bounds of what follows a percentile.
pub(super) fn bounds(
    min: &At<'_, Duration>,
    max: &At<'_, Duration>,
    usual: (Span, Span),
) -> (Span, Span) {
    let (least, most) = defaults::range((min.get(), usual.0), (max.get(), usual.1));
    if least < Span::millis(1) || most < least {
        let written = min.given().unwrap_or(max);
        written.refuse_as(format_args!(
            "{least} to {most} is no range of at least 1ms"
        ));
    }
    (least, most)
}

/// Whose marks are believed.
pub(super) fn trust(raw: &At<'_, RawTrust<'_>>) -> Trust {
    let (identities, addresses) = (at!(raw.identities), at!(raw.addresses));
    identities.at_most(identities.len(), TRUSTED_MAX);
    addresses.at_most(addresses.len(), TRUSTED_MAX);
    let mut trust = Trust::default();
    for at in identities.items() {
        trust.identities.push(name(&at, "a URI"));
    }
    for at in addresses.items() {
        let text = at.text();
        match Network::parse(text) {
            Some(network) => trust.networks.push(network),
            None => at.refuse_as(format_args!(
                "\"{text}\" is no address and no network such as 10.0.0.0/8"
            )),
        }
    }
    trust
}

/// A path as it stands in a request.
pub(super) fn location(raw: &At<'_, &str>) -> String {
    let text = raw.text();
    if !text.starts_with('/') {
        raw.refuse_as(format_args!("\"{text}\": a path begins with \"/\""));
    }
    visible(raw)
}

pub(super) fn visible(raw: &At<'_, &str>) -> String {
    let text = raw.text();
    if text.is_empty() || text.len() > PATTERN_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        raw.refuse_as(format_args!("1 to {PATTERN_MAX} visible ASCII characters"));
    }
    text.to_owned()
}

/// `None` is off.
pub(super) fn enforcement(
    mode: Option<RawEnforcement>,
    share: &At<'_, Percent>,
) -> Option<Enforcement> {
    let mode = match mode {
        None | Some(RawEnforcement::Enforce) => {
            return Some(Enforcement::Enforce(share.or(Share::ALL)));
        }
        Some(RawEnforcement::Shadow) => Some(Enforcement::Shadow),
        Some(RawEnforcement::Off) => None,
    };
    no_share(share);
    mode
}

/// The state page.
pub(super) fn page(raw: &At<'_, RawPage<'_>>) -> StatePage {
    let (reads, force) = (trust(&at!(raw.trust)), trust(&at!(raw.force)));
    if reads.is_empty() && force.is_empty() {
        at!(raw.trust).refuse("empty: write who may read it, by \"addresses\" or \"identities\"");
    }
    let path = location(&at!(raw.path));
    if path.contains('?') && !force.is_empty() {
        at!(raw.path)
            .refuse("with \"force\" the path has no \"?\": what is asked stands behind it");
    }
    StatePage {
        path,
        trust: reads,
        force,
    }
}

/// Seawall's own probe.
pub(super) fn probe(raw: &At<'_, RawProbe<'_>>) -> health_check::settings::HealthCheck {
    let (least, most) = (Span::millis(100), Span::secs(3_600));
    let every = at!(raw.every).within(Span::secs(2), least, most);
    let (least, most) = (Span::millis(1), Span::secs(60));
    let host = at!(raw.host);
    health_check::settings::HealthCheck {
        path: location(&at!(raw.path)),
        host: host.given().map(visible),
        every,
        timeout: at!(raw.timeout).within(Span::secs(1), least, most),
    }
}
