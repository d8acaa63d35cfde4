//! What the two positions of one VM hand to each other without the host.
//!
//! The property of a request's attempts costs more than anything else that a request with retries does, and nobody reads it as long as
//! its first attempt succeeds. So where both positions are one VM, it is kept here instead, and written only once an attempt
//! fails, or a later one starts: then for all requests on their way, since an attempt cannot tell whose it is before.
//! Each request's is written once at most.
//!
//! * Whether both positions are one VM shows in the property: it has the number of the VM that wrote it, and the upstream
//!   position says whether that is its own ([`Flags::HERE`]). Where one property ever came from another VM, all are written
//!   and read again for good.
//! * The first attempt of some requests has to read the property, which is written for them: those that ask who reads it, that are
//!   retries themselves, that may be hedged, and that go to another cluster. While any of them is on its way, all first
//!   attempts read theirs.
//!
//! **Architecture invariant:** the number of an attempt is asked each time; no attempt is taken for a first one.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use slab::Slab;

use crate::environment::Environment;
use crate::environment::facts::{Facts, StreamFact};
use crate::retry::attempts::{Attempts, Flags};
use crate::time::Timestamp;

use super::Worker;

/// One of so many first attempts reads the property all the same: another VM may have written it. Which of them changes, so that no
/// traffic that comes in turns is passed over.
const SAMPLE: u32 = 256;

/// No more requests than this are kept, so that a failure, which a client can bring about, writes no more at once. What is beyond is
/// written as if the other position were another VM.
const KEPT_MAX: usize = 1_024;

/// Whether the other position is in this VM, as far as was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing was seen.
    #[default]
    Unknown,
    /// It is.
    Here,
    /// In another one, at least for some requests; that stays.
    Elsewhere,
}

impl Link {
    /// What was seen before, and now.
    pub(crate) const fn seen(self, here: bool) -> Self {
        match (self, here) {
            (Self::Unknown | Self::Here, true) => Self::Here,
            (Self::Elsewhere, _) | (_, false) => Self::Elsewhere,
        }
    }
}

/// How a request told the upstream position of its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Told {
    /// Not at all, or by a property that no first attempt has to read.
    #[default]
    Nothing,
    /// By a property that its first attempt reads.
    Written,
    /// It is kept here, in this place.
    Kept(usize),
}

/// The pending deposits of one upstream.
pub(super) type Deposits = Rc<Cell<u64>>;

/// What both positions of a VM share.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// The number of the VM; 0 before it has one.
    number: Cell<u64>,
    /// What the properties of requests on their way would say, by their context.
    kept: RefCell<Slab<(u32, Box<Attempts>)>>,
    /// How many requests are on their way whose first attempt has to read its property.
    written: Cell<u32>,
    /// Whether properties that attempts read are of this VM.
    link: Cell<Link>,
    /// How many first attempts there were, wrapping.
    firsts: Cell<u32>,
    /// How many of them began unread, of requests that are kept and have no response yet.
    begun: Cell<usize>,
    /// Deposits by the upstream's key: both positions pay in, and the account is asked by one of them.
    deposits: RefCell<Vec<(String, Weak<Cell<u64>>)>>,
}

impl Handover {
    /// One by which nothing is kept.
    pub(super) fn written() -> Self {
        Self {
            link: Cell::new(Link::Elsewhere),
            ..Self::default()
        }
    }

    /// The VM has this number, unless it has one.
    pub(super) fn number(&self, number: u64) {
        if self.number.get() == 0 {
            self.number.set(number.max(1));
        }
    }

    /// The pending deposits under this key.
    pub(super) fn deposits(&self, key: &str) -> Deposits {
        let Ok(mut all) = self.deposits.try_borrow_mut() else {
            return Deposits::default();
        };
        let mut known = all.iter().filter(|(known, _)| known == key);
        if let Some(found) = known.find_map(|(_, found)| found.upgrade()) {
            return found;
        }
        all.retain(|(_, known)| known.strong_count() > 0);
        let new = Deposits::default();
        all.push((key.to_owned(), Rc::downgrade(&new)));
        new
    }

    fn keep(&self, context: u32, attempts: &mut Attempts) -> Option<usize> {
        let mut kept = self.kept.try_borrow_mut().ok()?;
        if kept.len() >= KEPT_MAX {
            return None;
        }
        attempts.flags.set(Flags::DEPOSITED);
        Some(kept.insert((context, Box::new(std::mem::take(attempts)))))
    }

    /// Whether what was kept of this request still is: no attempt failed since.
    fn take(&self, context: u32, place: usize) -> bool {
        let Ok(mut kept) = self.kept.try_borrow_mut() else {
            return false;
        };
        let still = kept.get(place).is_some_and(|(known, _)| *known == context);
        still && kept.try_remove(place).is_some()
    }

    fn keeps_any(&self) -> bool {
        self.kept.try_borrow().is_ok_and(|kept| !kept.is_empty())
    }
}

impl<E: Environment> Worker<E> {
    /// Tells the upstream position of the attempts of this request, or keeps it here. Nothing where it is to be written.
    pub(crate) fn keep_attempts(
        &mut self,
        context: u32,
        upstream: usize,
        attempts: &mut Attempts,
    ) -> Told {
        const READ_FIRST: u16 = Flags::ASKED | Flags::MARKED | Flags::HEDGED | Flags::ELSEWHERE;
        let shared = &self.vm.handover;
        attempts.vm = shared.number.get();
        let read_first = attempts.flags.has(READ_FIRST);
        let entry = self.upstreams.entry(upstream);
        let here = entry.filter(|entry| entry.is_followed_here());
        if let Some(entry) = here.filter(|_| !read_first && shared.link.get() == Link::Here)
            && let Some(place) = shared.keep(context, attempts)
        {
            entry.add_deposit();
            return Told::Kept(place);
        }
        if attempts.flags.has(Flags::ROUTES) && !read_first {
            return Told::Nothing;
        }
        shared.written.set(shared.written.get().saturating_add(1));
        Told::Written
    }

    /// The request has its response, or is over. Whether its attempts were kept here until now, so that none of them failed, and then
    /// whether one began: which of several requests it was of is not known, and what they pay is right in sum.
    #[inline(never)]
    pub(crate) fn forget_attempts(&self, context: u32, told: Told) -> Option<bool> {
        let shared = &self.vm.handover;
        let place = match told {
            Told::Nothing => return None,
            Told::Written => {
                shared.written.set(shared.written.get().saturating_sub(1));
                return None;
            }
            Told::Kept(place) => place,
        };
        let begun = shared.begun.get();
        shared.take(context, place).then(|| {
            shared.begun.set(begun.saturating_sub(1));
            begun > 0
        })
    }

    /// Nothing was sent of a request that paid in.
    pub(crate) fn take_deposit_back(&mut self, upstream: usize) {
        if let Some(entry) = self.upstreams.entry(upstream) {
            let deposits = &entry.deposits;
            deposits.set(deposits.get().saturating_sub(1));
        }
    }

    /// What was learned of an upstream: whether its attempts pass this VM.
    pub(crate) fn learn_link(&mut self, upstream: usize, here: bool) {
        if let Some(entry) = self.upstreams.entry(upstream) {
            entry.link = entry.link.seen(here);
        }
    }

    /// Whether a first attempt has to read the property. Where nothing is kept it is of no request that is.
    pub(crate) fn reads_first(&self) -> bool {
        let shared = &self.vm.handover;
        let firsts = shared.firsts.get().wrapping_add(1);
        shared.firsts.set(firsts);
        let others = shared.link.get() != Link::Here || shared.written.get() > 0;
        let sampled = (firsts / SAMPLE).wrapping_mul(0x9e37_79b9) >> 24 == firsts % SAMPLE;
        others || sampled || !shared.keeps_any()
    }

    /// A first attempt begins of which nothing is known. Whether it may be of a request that is kept here.
    pub(crate) fn begins_unread(&self) -> bool {
        let shared = &self.vm.handover;
        let kept = shared.kept.try_borrow().map_or(0, |kept| kept.len());
        // Each has one first attempt. What a mirror sends, or another VM, is none of them.
        shared
            .begun
            .set(shared.begun.get().saturating_add(1).min(kept));
        kept > 0
    }

    /// When an attempt starts, where the end of its own time may have to be told from others.
    pub(crate) fn attempt_begins(&self) -> Option<Timestamp> {
        self.limits_attempts.then(|| self.env.now())
    }

    /// What the property of an attempt says.
    pub(crate) fn read_attempts(&self, facts: &impl Facts<StreamFact>) -> Option<Attempts> {
        self.attempts_of(&facts.bytes(StreamFact::AttemptState)?)
    }

    #[inline(never)]
    fn attempts_of(&self, property: &[u8]) -> Option<Attempts> {
        let mut known = Attempts::decode(property)?;
        let shared = &self.vm.handover;
        let here = known.vm == shared.number.get();
        shared.link.set(shared.link.get().seen(here));
        if here {
            known.flags.set(Flags::HERE);
        }
        Some(known)
    }

    /// An attempt, in this context, failed or is not the first: writes what is kept, before it reads its own.
    #[inline(never)]
    pub(crate) fn write_kept(&self, context: u32) {
        let shared = &self.vm.handover;
        let Ok(mut kept) = shared.kept.try_borrow_mut() else {
            return;
        };
        if kept.is_empty() {
            return;
        }
        shared.begun.set(0);
        for (request, attempts) in kept.drain() {
            if !self.env.keep_attempts(request, &attempts.encode()) {
                // This host lets nobody speak for another stream.
                shared.link.set(Link::Elsewhere);
            }
        }
        // What follows is about this stream again.
        let _ = self.env.stream(context);
    }
}
