//! The state page: answered before anything else where it is asked for by somebody who may. To all others it does not
//! exist: their request goes its way.

use seawall_policy::state_page::StatePage;

use crate::arrival::{forwarded, is_trusted};
use crate::host::headers::Pairs;
use crate::host::reply::Reply;

/// Whether a request asks for this page, and may.
pub(crate) fn is_asked(page: &StatePage, pairs: &Pairs) -> bool {
    pairs.value(":path") == Some(page.path.as_bytes())
        && pairs.value(":method") == Some(b"GET")
        && is_trusted(&page.trust, &forwarded(pairs))
}

/// Sends it; `false` if the host did not take it.
pub(crate) fn send(json: &[u8]) -> bool {
    let reply = Reply {
        status: 200,
        details: "seawall_page",
        headers: &[
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
        ],
        body: json,
        grpc_status: None,
    };
    reply.send()
}
