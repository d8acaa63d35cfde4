//! What a policy bounds: in partitions of the bulkhead, and among the slots that all requests share.

use crate::bulkhead;
use crate::concurrency::Bound;
use crate::policy::Policy;
use crate::shedding::Settings;

/// Whether the requests of all are counted under one key.
pub(super) fn counts_all(policy: &Policy) -> bool {
    let bounds = bounds(policy);
    bounds.shared != Bound::default() || bounds.load
}

/// What bounds a request.
pub(super) struct Bounds {
    /// The partitions of the bulkhead, and their bound, where it counts by itself: for each value of a header, or otherwise than
    /// shedding does. Without partitions there is only the rest.
    pub(super) apart: Option<(u32, Bound)>,
    /// What all share.
    pub(super) shared: Bound,
    /// Whether the upstream's reports count.
    pub(super) load: bool,
}

pub(super) fn bounds(policy: &Policy) -> Bounds {
    let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
    let agrees = |bulkhead: &bulkhead::Settings| {
        let same = |shedding: &Settings| {
            (bulkhead.mode, bulkhead.until) == (shedding.mode, shedding.until)
        };
        bulkhead.per.is_none() && shedding.is_none_or(same)
    };
    let apart = bulkhead.filter(|bulkhead| !agrees(bulkhead));
    let together = bulkhead.filter(|bulkhead| agrees(bulkhead));
    Bounds {
        apart: apart.map(|bulkhead| {
            let count = bulkhead.per.as_ref().map_or(0, |per| per.max_keys);
            let bound = Bound {
                places_max: Some(bulkhead.max_concurrent),
                limit: None,
            };
            (count, bound)
        }),
        shared: Bound {
            places_max: together.map(|bulkhead| bulkhead.max_concurrent),
            limit: shedding.map(|shedding| (shedding.limit, shedding.shares)),
        },
        load: policy.reads_reports(),
    }
}
