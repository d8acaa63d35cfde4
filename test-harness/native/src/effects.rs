//! What the core wants done on a stream.

use std::rc::Rc;

use seawall_policy::environment::effects::{Effect, Effects, HeadersOf, Reply};

use crate::facts::{Headers, SharedFacts, StreamFacts};

/// Does what is to be done on a stream; `send` is asked whether the host takes a local reply.
pub(crate) fn apply(
    out: &mut Effects,
    known: &SharedFacts,
    mut send: impl FnMut(&Rc<Reply>) -> bool,
) -> Option<bool> {
    let mut accepted = None;
    for effect in out.take() {
        let mut known = known.borrow_mut();
        let known = &mut *known;
        match effect {
            Effect::SetHeader(of, name, value) => lines(known, of).set(&name, &value),
            Effect::RemoveHeader(of, name) => lines(known, of).remove(&name),
            Effect::LogField(key, value) => {
                known.log.insert(key, value.into_owned());
            }
            Effect::KeepAttempts(bytes) => *known.attempts.borrow_mut() = Some(bytes),
            Effect::Reply(reply) => {
                assert_eq!(accepted, None, "one local reply at a time");
                let reply = Rc::new(reply);
                let taken = send(&reply);
                known.reply = Some(reply).filter(|_| taken);
                accepted = Some(taken);
            }
            Effect::Resume => known.resumed = true,
        }
    }
    accepted
}

fn lines(known: &mut StreamFacts, of: HeadersOf) -> &mut Headers {
    match of {
        HeadersOf::Request => &mut known.request,
        HeadersOf::Response => &mut known.response,
    }
}
