//! The suite on the state as bytes.

#[path = "by_route.rs"]
mod by_route;
#[path = "credits.rs"]
mod credits;
#[path = "fallback.rs"]
mod fallback;
#[path = "forced.rs"]
mod forced;
#[path = "handover.rs"]
mod handover;
#[path = "hedges.rs"]
mod hedges;
#[path = "late_failures.rs"]
mod late_failures;
#[path = "off.rs"]
mod off;
#[path = "reasons.rs"]
mod reasons;
#[path = "record_cache.rs"]
mod record_cache;
#[path = "replies.rs"]
mod replies;

use std::rc::Rc;

use seawall_native::Process;
use seawall_policy::time::Span;

fn process() -> Rc<Process> {
    Process::new(Span::secs(1_000))
}
