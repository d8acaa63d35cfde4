//! The property in which both positions of the filter keep the attempts of a request.

use crate::retry::Settings;
use crate::retry::attempts::Attempts;

use crate::environment::effects::{Effect, Effects};
use crate::environment::facts::{Facts, StreamFact};

/// The upstream position votes for another attempt by this header on an answer.
pub(crate) const VOTE: &str = Settings::VOTE;
/// It stops every retry of the route's own by this one.
pub(crate) const VETO: &str = "x-envoy-ratelimited";
/// On an answer: it was retried below, or could not be, so that another retry would multiply.
pub(crate) const NO_RETRY: &str = "x-seawall-no-retry";
/// On a request: which attempt it is, or that it belongs to one.
pub(crate) const ATTEMPT: &str = "x-seawall-attempt";

/// What stands there; nothing where the request's policy has no retries.
pub(crate) fn load(facts: &impl Facts<StreamFact>) -> Option<Attempts> {
    Attempts::decode(&facts.bytes(StreamFact::AttemptState)?)
}

/// Puts it there.
pub(crate) fn store(attempts: &Attempts, out: &mut Effects) {
    out.push(Effect::KeepAttempts(attempts.encode()));
}
