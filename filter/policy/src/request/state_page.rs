//! The state page: answered before anything else where it is asked for by a peer that may. To all others it does not
//! exist: their request goes its way.

use super::propagation::forwarded;
use crate::environment::effects::Reply;
use crate::environment::facts::{RequestPhase, StreamFact};
use crate::environment::headers::HeaderMap;
use crate::state_page::StatePage;
use crate::state_page::permission::Standing;
use crate::trust::{Trust, host_and_port};
use seawall_page::Answer;

/// Whether a request is for this path, whatever its query.
#[inline]
pub(crate) fn is_there(page: &StatePage, pairs: &impl HeaderMap) -> bool {
    let path = pairs.value(":path").unwrap_or_default();
    let rest = path.strip_prefix(page.path.as_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'?')))
}

/// A peer that the page's lists know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// How.
    pub(crate) standing: Standing,
    /// Its identity, or its address without the port.
    pub(crate) name: String,
}

impl Peer {
    /// The peer of a request, if it may read the page.
    pub(crate) fn known(
        page: &StatePage,
        pairs: &impl HeaderMap,
        facts: &impl RequestPhase,
    ) -> Option<Self> {
        let identity = facts.text(StreamFact::PeerUriSan);
        // Without a certificate no pattern fits, not even `*`.
        let identity = identity.filter(|identity| !identity.is_empty());
        let address = facts.text(StreamFact::PeerAddress).unwrap_or_default();
        let forwarded = forwarded(pairs);
        let knows = |trust: &Trust| identity.as_ref().is_some_and(|known| trust.knows(known));
        let standing = if knows(&page.force) {
            Standing::Identity
        } else if page.force.reaches(&address, &forwarded) && forwarded.is_direct() {
            // A proxy at such an address has no right to hand its own on to whoever asks it.
            Standing::Address
        } else if knows(&page.trust) || page.trust.reaches(&address, &forwarded) {
            Standing::Reader
        } else {
            return None;
        };
        let name = match (standing, identity) {
            (Standing::Identity, Some(identity)) => identity,
            _ => host_and_port(&address)
                .map_or("", |(host, _)| host)
                .to_owned(),
        };
        Some(Self { standing, name })
    }
}

/// An answer as a local reply.
pub(crate) fn reply(answer: Answer) -> Reply {
    let mut reply = Reply {
        status: answer.status,
        details: "seawall_page".into(),
        body: answer.body.into_bytes(),
        ..Reply::default()
    };
    for (name, value) in answer.headers {
        reply.header(name, value);
    }
    reply
}
