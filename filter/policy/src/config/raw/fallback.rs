//! The keys of the fallback ladder.

use super::super::tables::{choice, object};
use super::super::units::{AnyGrpcStatus, Duration};
use super::super::value_kind::Named;

object! {
    /// One rung of the fallback ladder: the causes, and one of cluster, stale, static.
    RawRung {
        /// The causes it stands for (all that it can: another cluster stands for open, shed and bulkhead).
        on ("on"): Vec<RawCause>,
        /// The same request to this cluster, by a route of its own (docs/fallback.md).
        cluster ("cluster"): String,
        /// The last good answer to the same request.
        stale ("stale"): RawStale,
        /// A fixed answer.
        fixed ("static"): RawStatic,
    }
}

choice! {
    /// Why an answer of our own is needed.
    RawCause {
        /// The breaker did not admit the request.
        Open ("open"),
        /// There was too much to do, and others were more important.
        Shed ("shed"),
        /// All slots of the bulkhead were taken.
        Bulkhead ("bulkhead"),
        /// There was too little time left for it.
        Deadline ("deadline"),
        /// The upstream, or Envoy for it, failed.
        Failure ("failure"),
    }
}

object! {
    /// The last good answer to the same request: GET and HEAD only, and never one that was for one user.
    RawStale {
        /// Never older, 1s to 24h (10m).
        max_age ("max_age"): Duration,
        /// Whether answers to requests with credentials are kept too, each for the same credentials alone (false).
        authorized ("authorized"): bool,
        /// Whether answers to requests with cookies are kept too, each for the same cookies alone (false).
        cookies ("cookies"): bool,
        /// Headers that shape no response, though they may differ from client to client; `*` at the end stands for all that
        /// begin so; at most 32 (none).
        ignore_headers ("ignore_headers"): Vec<String>,
    }
}

object! {
    /// A fixed answer.
    RawStatic {
        /// HTTP status, 200 to 599 (200).
        status ("status"): u32,
        /// `content-type`.
        content_type ("content_type"): String,
        /// Further headers; `{{policy}}`, `{{reason}}` and `{{retry_after}}` (seconds) are filled in.
        headers ("headers"): Named<String>,
        /// The body, at most 64 KiB; `{{policy}}`, `{{reason}}` and `{{retry_after}}` (seconds) are filled in.
        body ("body"): String,
        /// What a gRPC caller gets; without it the rung does not stand for gRPC.
        grpc ("grpc"): RawGrpc,
    }
}

object! {
    /// A gRPC answer.
    RawGrpc {
        /// gRPC status, 0 to 16, or its name.
        status ("status"): AnyGrpcStatus,
        /// gRPC status message; filled in like a body.
        message ("message"): String,
    }
}
