//! What counts as a failure, and what as overload.

use seawall_policy::outcome::{Codes, Rules, flag};

use super::at::{At, at};
use super::raw::{RawOutcomes, RawVerdict};
use super::units::{GrpcStatus, HttpStatus};

/// The rules of a policy. A list that is written takes the place of the default one, and where it names what stands in the
/// other list by default, the default yields.
pub(super) fn outcomes(raw: &At<'_, RawOutcomes<'_>>) -> Rules {
    let (failure, overloaded) = (at!(raw.failure), at!(raw.overloaded));
    let usual = Rules::default();
    let status = (http(&at!(failure.status)), http(&at!(overloaded.status)));
    let grpc = (named(&at!(failure.grpc)), named(&at!(overloaded.grpc)));
    let (failure_status, overloaded_status) =
        apart(status, (usual.failure_status, usual.overloaded_status));
    let (failure_grpc, overloaded_grpc) = apart(grpc, (usual.failure_grpc, usual.overloaded_grpc));
    let mut rules = Rules {
        failure_status,
        failure_grpc,
        overloaded_status,
        overloaded_grpc,
        overloaded_fails: matches!(at!(overloaded.breaker).said(), Some(RawVerdict::Failure)),
        ..usual
    };
    let flags = at!(failure.flags);
    if flags.given().is_some() {
        rules.failure_flags = 0;
    }
    for flag in flags.items() {
        let name = flag.text();
        match flag::FAILURES.iter().find(|(known, _)| *known == name) {
            Some((_, bit)) => rules.failure_flags |= bit,
            None => flag.refuse_as(format_args!(
                "unknown flag \"{name}\"; known: UT, UR, UF, UC, UPE"
            )),
        }
    }
    rules
}

/// Failures and overload. Overload wins where both name a code, so that `5xx` may stand beside a 503 that is overload; but
/// the default list of overload has nothing that is written under failures.
fn apart(written: (Option<Codes>, Option<Codes>), usual: (Codes, Codes)) -> (Codes, Codes) {
    match written {
        (Some(failure), None) => (failure, usual.1.without(&failure)),
        (failure, overloaded) => (failure.unwrap_or(usual.0), overloaded.unwrap_or(usual.1)),
    }
}

fn http(raw: &At<'_, Vec<HttpStatus>>) -> Option<Codes> {
    raw.given()?;
    let mut codes = Codes::NONE;
    for HttpStatus(first, last) in raw.items().filter_map(|item| item.said()) {
        codes.add(first, last);
    }
    Some(codes)
}

fn named(raw: &At<'_, Vec<GrpcStatus>>) -> Option<Codes> {
    raw.given()?;
    let mut codes = Codes::NONE;
    for GrpcStatus(code) in raw.items().filter_map(|item| item.said()) {
        codes.add(code, code);
    }
    Some(codes)
}
