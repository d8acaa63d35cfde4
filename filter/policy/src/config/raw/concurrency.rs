//! The keys of what keeps load away: bulkhead and shedding.

use super::super::tables::{choice, object};
use super::super::units::{Duration, Percent};

choice! {
    /// What is done with a request that a policy would refuse.
    RawEnforcement {
        /// It is refused.
        Enforce ("enforce"),
        /// It is marked.
        Shadow ("shadow"),
        /// Nobody looks.
        Off ("off"),
    }
}

choice! {
    /// Until when a request counts as in flight.
    RawUntil {
        /// Until the headers of its answer: for streams that stay open.
        Headers ("headers"),
        /// Until its end.
        End ("end"),
    }
}

object! {
    /// How many requests there may be at an upstream at the same time, over all workers.
    RawBulkhead {
        /// What is done with those beyond (enforce).
        mode ("mode"): RawEnforcement,
        /// With `mode: enforce`: on which share of the requests, by request id (100 %).
        enforce ("enforce"): Percent,
        /// So many, 1 to 1,000,000.
        max_concurrent ("max_concurrent"): u32,
        /// Not for the whole upstream, but for each value of a header.
        per ("per"): RawPer,
        /// Until when a request holds its slot (end).
        until ("until"): RawUntil,
        /// Which share of the slots requests may hold whose body is not complete, 1 to 100 percent (50).
        unfinished ("unfinished"): Percent,
    }
}

object! {
    /// What parts a bulkhead.
    RawPer {
        /// The header's name, such as `x-tenant`; requests without it share one part.
        header ("header"): String,
        /// How many values have slots of their own at the same time, 1 to 1,000 (100); those beyond share one part.
        max_keys ("max_keys"): u32,
    }
}

object! {
    /// What is refused when there is too much to do.
    RawShedding {
        /// What is done with those that are too many (enforce).
        mode ("mode"): RawEnforcement,
        /// With `mode: enforce`: on which share of the requests, by request id (100 %).
        enforce ("enforce"): Percent,
        /// How the limit on requests in flight is found (adaptive).
        limit ("limit"): RawLimit,
        /// An adaptive limit is never less, 1 to 100,000 (20, or less where `max` or `initial` is).
        min ("min"): u32,
        /// An adaptive limit is never more, 1 to 100,000 (200, or more where `min` or `initial` is); a fixed one is this.
        max ("max"): u32,
        /// What an adaptive limit starts with (min).
        initial ("initial"): u32,
        /// Which share of the limit each priority may fill.
        shares ("shares"): RawShares,
        /// Where a request's priority is read.
        priorities ("priorities"): RawPriorities,
        /// Above this utilisation in the upstream's own reports (ORCA) the least important are shed, in percent; 0 is off (80).
        load_over ("load_over"): Percent,
        /// `retry-after` of what was shed is spread from 1s to this, 1s to 1h (4s).
        retry_after ("retry_after"): Duration,
        /// Until when a request counts as in flight (end).
        until ("until"): RawUntil,
        /// Which share of the limit requests may fill whose body is not complete, 1 to 100 percent (50).
        unfinished ("unfinished"): Percent,
    }
}

choice! {
    /// How the limit on requests in flight is found.
    RawLimit {
        /// It follows latency.
        Adaptive ("adaptive"),
        /// It is `max`.
        Fixed ("fixed"),
        /// There is none: only the upstream's reports count.
        None ("none"),
    }
}

object! {
    /// Which share of the limit each priority may fill, in percent; none more than one that is more important. A default
    /// follows those that are given.
    RawShares {
        /// (100)
        critical_plus ("critical_plus"): Percent,
        /// (90)
        critical ("critical"): Percent,
        /// (70)
        sheddable_plus ("sheddable_plus"): Percent,
        /// (50)
        sheddable ("sheddable"): Percent,
    }
}

object! {
    /// Where a request's priority is read. Who is not trusted (`trust`) may lower it, never raise it.
    RawPriorities {
        /// The header (x-seawall-priority).
        header ("header"): String,
        /// Of requests that say nothing, where the route's metadata (`filter_metadata.seawall.priority`) is silent (critical).
        default ("default"): RawPriority,
    }
}

choice! {
    /// How important a request is.
    RawPriority {
        /// What must work even when hardly anything does.
        CriticalPlus ("critical_plus"),
        /// What users see.
        Critical ("critical"),
        /// What may be late.
        SheddablePlus ("sheddable_plus"),
        /// What may be left out.
        Sheddable ("sheddable"),
    }
}
