//! What counts as a failure, and what as overload.

use crate::outcome::{Codes, Rules, flag};

use super::cursor::Cursor;
use super::raw::{RawOutcomes, RawVerdict};
use super::units::{GrpcStatus, HttpStatus};

/// The rules of a policy. A list that is written takes the place of the default one, and where it names what stands in the
/// other list by default, the default yields.
pub(super) fn outcomes(raw: &Cursor<'_, RawOutcomes>) -> Rules {
    let (failure, overloaded) = (raw.failure(), raw.overloaded());
    let usual = Rules::default();
    let status = (http(&failure.status()), http(&overloaded.status()));
    let grpc = (named(&failure.grpc()), named(&overloaded.grpc()));
    let (failure_status, overloaded_status) =
        apart(status, (usual.failure_status, usual.overloaded_status));
    let (failure_grpc, overloaded_grpc) = apart(grpc, (usual.failure_grpc, usual.overloaded_grpc));
    let mut rules = Rules {
        failure_status,
        failure_grpc,
        overloaded_status,
        overloaded_grpc,
        overloaded_fails: matches!(overloaded.breaker().get(), Some(RawVerdict::Failure)),
        ..usual
    };
    let flags = failure.flags();
    if flags.given().is_some() {
        rules.failure_flags = 0;
    }
    for index in 0..flags.len() {
        let flag = flags.item(index);
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

fn http(raw: &Cursor<'_, Vec<HttpStatus>>) -> Option<Codes> {
    raw.given()?;
    let mut codes = Codes::NONE;
    for index in 0..raw.len() {
        let (first, last) = raw.item(index).get().unwrap_or_default();
        codes.add(first, last);
    }
    Some(codes)
}

fn named(raw: &Cursor<'_, Vec<GrpcStatus>>) -> Option<Codes> {
    raw.given()?;
    let mut codes = Codes::NONE;
    for index in 0..raw.len() {
        let code = raw.item(index).get().unwrap_or_default();
        codes.add(code, code);
    }
    Some(codes)
}
