//! The configuration as it is written: every key that exists, and nothing else.
//!
//! The JSON Schema for editors is made from these types, so that it cannot say anything else than the parser does.
//! Everything is optional here; defaults and limits belong to the step from these types to the valid ones.

pub mod concurrency;
pub mod fallback;

use super::tables::{choice, object};
use super::units::{Decimal, Duration, GrpcStatus, HttpStatus, Percent, Ratio};
use super::value_kind::Named;
use concurrency::{RawBulkhead, RawShedding};
use fallback::RawRung;

object! {
    /// A whole configuration.
    File {
        /// The version of this format: 1.
        version ("version"): u32,
        /// Policies by name. The one named "default" is for every upstream that no entry names.
        policies ("policies"): Named<RawPolicy>,
        /// Which policy is for which cluster; the first entry that fits wins.
        upstreams ("upstreams"): Vec<RawUpstream>,
        /// Bounds of the whole process.
        limits ("limits"): RawLimits,
        /// Whose marks are believed: deadlines, priorities and retries across an application (nobody's).
        trust ("trust"): RawTrust,
        /// The state page (none).
        page ("page"): RawPage,
    }
}

object! {
    /// The state page: what this process knows of every upstream, as JSON.
    RawPage {
        /// Its path, exactly, such as `/seawall`.
        path ("path"): String,
        /// Who may read it; for everybody else it does not exist.
        trust ("trust"): RawTrust,
    }
}

object! {
    /// Whose marks are believed.
    RawTrust {
        /// URIs in the peer's certificate, such as `spiffe://cluster.local/ns/edge/sa/gateway`; `*` stands for any run of characters.
        identities ("identities"): Vec<String>,
        /// Addresses and networks, such as `10.0.0.0/8`.
        addresses ("addresses"): Vec<String>,
    }
}

object! {
    /// Bounds of the whole process.
    RawLimits {
        /// How many upstreams get a state of their own, 1 to 10,000 (2,000).
        upstreams ("upstreams"): u32,
    }
}

object! {
    /// Which policy is for which cluster.
    RawUpstream {
        /// The cluster's name; `*` stands for any run of characters.
        cluster ("cluster"): String,
        /// A policy's name.
        policy ("policy"): String,
        /// What has a state of its own: the cluster, or each authority asked for (cluster).
        key ("key"): RawKey,
        /// With `key: authority`: for how many authorities, 1 to 1,000 (100).
        max_keys ("max_keys"): u32,
    }
}

choice! {
    /// What has a state of its own within a cluster.
    RawKey {
        /// The cluster as a whole.
        Cluster ("cluster"),
        /// Each authority asked for.
        Authority ("authority"),
    }
}

object! {
    /// One policy. What is not said is as in the policy it extends, or the default.
    RawPolicy {
        /// A policy whose keys hold where this one is silent.
        extends ("extends"): String,
        /// What shares one state: a cluster, or a route to it (cluster).
        scope ("scope"): RawScope,
        /// Time limits.
        timeout ("timeout"): RawTimeout,
        /// What counts as a failure.
        outcomes ("outcomes"): RawOutcomes,
        /// The circuit breaker.
        breaker ("breaker"): RawBreaker,
        /// Retries; without them the route's own stay as they are.
        retries ("retries"): RawRetries,
        /// How many requests there may be at the same time (as many as come).
        bulkhead ("bulkhead"): RawBulkhead,
        /// What is refused when there is too much to do, the least important first (nothing).
        shedding ("shedding"): RawShedding,
        /// Which requests bulkhead and shedding never refuse and never count, at most 10 per second for each upstream and worker (none).
        exempt ("exempt"): Vec<RawExempt>,
        /// What is answered instead, first to last.
        fallback ("fallback"): Vec<RawRung>,
        /// Whether answers of our own say so in `x-seawall-*` headers (true); at an edge they are nobody's business.
        answer_headers ("answer_headers"): bool,
    }
}

object! {
    /// Requests that are exempt, such as checks of health.
    RawExempt {
        /// Their path without the query; with `*` at its end all that begin so.
        path ("path"): String,
    }
}

choice! {
    /// What shares one state.
    RawScope {
        /// All requests to a cluster.
        Cluster ("cluster"),
        /// All requests of a route to a cluster.
        Route ("route"),
    }
}

object! {
    /// Time limits.
    RawTimeout {
        /// For the whole request, retries included; takes the place of the route's own (none: the route's own holds).
        total ("total"): Duration,
        /// For each attempt, until its headers (none: the route's own holds).
        per_try ("per_try"): Duration,
        /// Headers in which a deadline comes and goes; those other than the two known ones carry milliseconds
        /// (grpc-timeout, x-envoy-expected-rq-timeout-ms).
        propagate ("propagate"): Vec<String>,
        /// A request whose caller leaves it less time is refused at once (0s: only one without any).
        doomed_under ("doomed_under"): Duration,
        /// A limit that follows the observed latency.
        adaptive ("adaptive"): RawAdaptive,
    }
}

object! {
    /// A limit that follows the observed latency.
    RawAdaptive {
        /// Which percentile of the last minute's latencies, in percent (99).
        percentile ("percentile"): Percent,
        /// Times so much, 1 to 100 (2).
        factor ("factor"): Decimal,
        /// Never less (breaker.slow_call.over, or `max` where that is less).
        min ("min"): Duration,
        /// Never more (15s, or `min` where that is more).
        max ("max"): Duration,
        /// There is no such limit before so many samples (100).
        minimum_samples ("minimum_samples"): u32,
    }
}

object! {
    /// Retries: decided by Seawall, paid from one budget over all workers.
    RawRetries {
        /// What they do (enforce).
        mode ("mode"): RawRetryMode,
        /// The most attempts of one request, the first included, 1 to 10 (2).
        attempts ("attempts"): u32,
        /// When: 5xx, gateway-error, reset, connect-failure, refused-stream, timeout, a status such as "409", or a gRPC
        /// status by Envoy's name: cancelled, deadline-exceeded, resource-exhausted, internal, unavailable
        /// (5xx, reset, connect-failure, refused-stream, timeout, unavailable).
        on ("on"): Vec<String>,
        /// Which methods are repeated; an Idempotency-Key makes every method safe, and what never reached the upstream
        /// is safe anyway (idempotent).
        methods ("methods"): RawMethods,
        /// Who pays.
        budget ("budget"): RawBudget,
        /// A second attempt beside one that takes long, for requests that are safe to repeat.
        hedge ("hedge"): RawHedge,
    }
}

choice! {
    /// What retries do.
    RawRetryMode {
        /// Seawall decides about every attempt.
        Enforce ("enforce"),
        /// The route decides, Seawall counts what it would have refused.
        Shadow ("shadow"),
        /// The route decides.
        Off ("off"),
    }
}

choice! {
    /// Which methods are repeated.
    RawMethods {
        /// GET, HEAD, OPTIONS, TRACE, PUT, DELETE.
        Idempotent ("idempotent"),
        /// All, POST and with it gRPC among them.
        Any ("any"),
    }
}

object! {
    /// The retry budget.
    RawBudget {
        /// What each first attempt pays in, in percent of a retry, 0 to 1,000 (20).
        ratio ("ratio"): Ratio,
        /// Retries that flow in each second besides, 0 to 1,000 (0.1).
        min_per_second ("min_per_second"): Decimal,
        /// For how long what was paid in lasts, 1s to 60s (10s).
        ttl ("ttl"): Duration,
    }
}

object! {
    /// When a second attempt is sent beside the first.
    RawHedge {
        /// After this time.
        after ("after"): Duration,
        /// Or after as long as this share of the answers takes, in percent.
        percentile ("percentile"): Percent,
        /// With a percentile: never sooner (10ms).
        min ("min"): Duration,
        /// With a percentile: never later (10s).
        max ("max"): Duration,
    }
}

object! {
    /// What counts as a failure, and what as "too much to do". A list that is given takes the place of the default one.
    RawOutcomes {
        /// Failures: status 500 502 503 504 520-527 530, grpc 2 4 13 14 15, flags UT UR UF UC UPE.
        failure ("failure"): RawFailure,
        /// Neither failure nor success: status 429 529, grpc 8. What is written in both lists is overload.
        overloaded ("overloaded"): RawOverloaded,
    }
}

object! {
    /// Marks of a response that is a failure.
    RawFailure {
        /// HTTP statuses, 100 to 599: such as 503, "5xx", "520-527".
        status ("status"): Vec<HttpStatus>,
        /// gRPC statuses: 1 to 16, or names such as `unavailable`.
        grpc ("grpc"): Vec<GrpcStatus>,
        /// Envoy's response flags: UT, UR, UF, UC, UPE.
        flags ("flags"): Vec<String>,
    }
}

object! {
    /// Marks of a response that says "too much to do".
    RawOverloaded {
        /// HTTP statuses, 100 to 599: such as 429, "520-527".
        status ("status"): Vec<HttpStatus>,
        /// gRPC statuses: 1 to 16, or names such as `resource-exhausted`.
        grpc ("grpc"): Vec<GrpcStatus>,
        /// What it is for the breaker (ignore).
        breaker ("breaker"): RawVerdict,
    }
}

choice! {
    /// What overload is for the breaker.
    RawVerdict {
        /// Neither a failure nor a success: a probe of a half-open breaker gives its permit back.
        Ignore ("ignore"),
        /// A failure.
        Failure ("failure"),
    }
}

object! {
    /// The circuit breaker.
    RawBreaker {
        /// What it does with its verdict (enforce).
        mode ("mode"): RawMode,
        /// With `mode: enforce`: on which share of the requests, by request id (100 %).
        enforce ("enforce"): Percent,
        /// Whether it also works on inbound listeners (false).
        inbound ("inbound"): bool,
        /// Opens at this share of failures, in percent; 0 is off (50).
        failure_rate ("failure_rate"): Percent,
        /// Opens when too many calls are slow.
        slow_call ("slow_call"): RawSlowCall,
        /// Opens at so many failures in a row; 0 is off (7).
        consecutive ("consecutive"): u32,
        /// Over what rates are taken (10 s).
        window ("window"): RawWindow,
        /// Calls in the window before a rate is judged (20).
        minimum_calls ("minimum_calls"): u32,
        /// How long it stays open.
        open ("open"): RawOpen,
        /// How it probes.
        half_open ("half_open"): RawHalfOpen,
        /// After closing, the admitted share grows from 10 % to all over this time (10s); "0s" is off.
        ramp ("ramp"): Duration,
        /// The hosts behind the upstream.
        hosts ("hosts"): RawHosts,
        /// Asks an open upstream whether it is well again; a good answer leads to half-open (none).
        probe ("probe"): RawProbe,
    }
}

object! {
    /// Seawall's own health probe.
    RawProbe {
        /// The path, such as `/healthz`.
        path ("path"): String,
        /// The authority (the cluster's name).
        host ("host"): String,
        /// The time between two probes, by one worker at a time, 100ms to 1h (2s).
        every ("every"): Duration,
        /// How long an answer may take, 1ms to a minute (1s).
        timeout ("timeout"): Duration,
    }
}

choice! {
    /// What a breaker does with its verdict.
    RawMode {
        /// Refuses.
        Enforce ("enforce"),
        /// Marks what it would refuse.
        Shadow ("shadow"),
        /// Does nothing.
        Off ("off"),
        /// Refuses everything.
        ForcedOpen ("forced_open"),
    }
}

object! {
    /// When a call is slow, and how many may be.
    RawSlowCall {
        /// A success whose headers took longer is slow (2s; with a `half_open.wait` under 3s a second less than that).
        over ("over"): Duration,
        /// Opens at this share of slow calls, in percent; 0 is off (80).
        rate ("rate"): Percent,
        /// Which requests wait for something to happen, so that they are never slow and no samples of latency (none).
        long_poll ("long_poll"): Vec<RawLongPoll>,
    }
}

object! {
    /// Long polls: all requests to a path, or all of a route.
    RawLongPoll {
        /// Their path without the query; with `*` at its end all that begin so.
        path ("path"): String,
        /// Their route's name.
        route ("route"): String,
    }
}

object! {
    /// The window: a time or a number of calls.
    RawWindow {
        /// The last so much time, 100ms to 1h.
        over ("over"): Duration,
        /// The last so many calls, 1 to 1,024.
        calls ("calls"): u32,
    }
}

object! {
    /// How long an open breaker stays open.
    RawOpen {
        /// After the first trip; doubled at each further one in a row (5s, or `up_to` where that is shorter).
        base ("for"): Duration,
        /// Never longer, but for the jitter (60s, or `for` where that is longer).
        up_to ("up_to"): Duration,
        /// Up to this share is added at random, in percent (100).
        jitter ("jitter"): Percent,
    }
}

object! {
    /// How a half-open breaker probes.
    RawHalfOpen {
        /// Probes in flight plus verdicts, over all workers, 1 to 1,000 (2).
        permits ("permits"): u32,
        /// Permits held for so long without a verdict are taken back from VMs that died; at least `timeout.total`, and a
        /// second more than `slow_call.over` (20s, or as long as those ask for).
        wait ("wait"): Duration,
    }
}

object! {
    /// The hosts behind an upstream.
    RawHosts {
        /// While a minority of them fails, a trip is withheld for so long (10s); "0s" is off.
        grace ("grace"): Duration,
    }
}
