//! The suite on the state as typed values.

#[path = "fallback.rs"]
mod fallback;
#[path = "forced.rs"]
mod forced;
#[path = "handover.rs"]
mod handover;
#[path = "hedges.rs"]
mod hedges;
#[path = "reasons.rs"]
mod reasons;
#[path = "replies.rs"]
mod replies;

use std::rc::Rc;
use std::sync::Arc;

use seawall_native::{Process, TypedState};
use seawall_policy::time::Span;

fn process() -> Rc<Process> {
    Process::with_state(Span::secs(1_000), &Arc::new(TypedState::default()))
}
