//! The state page: answered before anything else where it is asked for by a peer that may. To all others it does not
//! exist: their request goes its way.

use super::propagation::{forwarded, is_trusted};
use crate::environment::effects::Reply;
use crate::environment::facts::RequestPhase;
use crate::environment::headers::HeaderMap;
use crate::response_facts::FactCache;
use crate::state_page::StatePage;

/// Whether a request asks for this page, and may.
pub(crate) fn is_asked(
    page: &StatePage,
    pairs: &impl HeaderMap,
    facts: &impl RequestPhase,
) -> bool {
    pairs.value(":path") == Some(page.path.as_bytes())
        && pairs.value(":method") == Some(b"GET")
        && is_trusted(
            &page.trust,
            &forwarded(pairs),
            facts,
            &mut FactCache::default(),
        )
}

/// The page as a local reply.
pub(crate) fn reply(json: Vec<u8>) -> Reply {
    let mut reply = Reply {
        status: 200,
        details: "seawall_page".into(),
        body: json,
        ..Reply::default()
    };
    reply.header("content-type", "application/json");
    reply.header("cache-control", "no-store");
    reply
}
