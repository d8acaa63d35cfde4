//! What lives as long as a VM, whatever configurations come and go in it: the process's key, and the bodies that are
//! captured for stale responses.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::handover::Handover;
use crate::environment::Entropy;
use crate::shared::keys;
use crate::shared::process_key::ProcessKey;
use crate::shared::state::SharedState;
use crate::stale::Sampling;
use crate::time::{Span, Timestamp};

/// The most responses whose bodies are captured at a time, with at most 64 KB each.
const CAPTURES_MAX: usize = 16;
/// A capture that takes longer gives way to another.
const UNDISTURBED: Span = Span::secs(10);

/// The body of a capture: its stream's, until it has to give way to another.
pub(crate) type CapturedBody = Rc<RefCell<Option<Vec<u8>>>>;

/// Since when a capture goes on, and its body, if its stream is still there.
type Capture = (Timestamp, Weak<RefCell<Option<Vec<u8>>>>);

/// One VM; its workers share it.
#[derive(Debug, Default)]
pub struct Vm {
    process_key: Cell<Option<ProcessKey>>,
    /// Which responses were looked at lately.
    pub(crate) sampling: RefCell<Sampling>,
    captures: RefCell<[Capture; CAPTURES_MAX]>,
    /// What both positions of the filter hand to each other.
    pub(crate) handover: Handover,
}

impl Vm {
    /// A VM in a body where an attempt can read only at its start what its request wrote: each request writes, and none is kept.
    pub fn without_handover() -> Self {
        Self {
            handover: Handover::written(),
            ..Self::default()
        }
    }

    /// The key of the process, read or made when it is first needed; nothing where it can be neither now.
    pub(crate) fn process_key(&self, env: &(impl SharedState + Entropy)) -> Option<ProcessKey> {
        let known = self.process_key.get();
        if known.is_some() {
            return known;
        }
        let found = ProcessKey::obtain(env, &keys::PROCESS, &mut || env.secret()).ok();
        self.process_key.set(found);
        found
    }

    /// Room for a captured body; nothing if all of it is taken by captures that have not gone on for long.
    pub(crate) fn capture(&self, now: Timestamp) -> Option<CapturedBody> {
        let mut captures = self.captures.try_borrow_mut().ok()?;
        let since = |taken: &Capture| match taken.1.strong_count() {
            0 => Timestamp::ZERO,
            _ => taken.0,
        };
        let oldest = captures.iter_mut().min_by_key(|taken| since(taken))?;
        if let Some(other) = oldest.1.upgrade() {
            if now.since(oldest.0) < UNDISTURBED {
                return None;
            }
            other.try_borrow_mut().ok()?.take();
        }
        let body = Rc::new(RefCell::new(Some(Vec::new())));
        *oldest = (now, Rc::downgrade(&body));
        Some(body)
    }
}
