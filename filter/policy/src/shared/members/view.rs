//! What one VM knows of the process's VMs: its own number, whom it watches, and which leases are nobody's any more.

use super::{Members, leave, visit};
use crate::liveness::{Liveness, LivenessMonitor, TICKS};
use crate::shared::instance::vm_of;
use crate::shared::state::{Key, SharedState, Undecided};
use crate::time::{Span, Timestamp};

/// A VM that gave no sign for so long may have been marked as dead: it looks before it takes anything more. It is less than
/// three ticks, however soon one comes after the other.
const MAY_BE_MARKED: Span = Span::millis(1_100);
/// So many leases of VMs that are not listed are remembered; more have to wait for their turn.
pub const UNLISTED_MAX: usize = 256;
/// What was not seen again for so many ticks is forgotten: it was taken back, or given back.
const REMEMBERED: u32 = 256;

/// What a VM sees when it looks at the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Whether it is marked as dead itself: what it held is void.
    pub given_up: bool,
    /// Whether there is no room to list it.
    pub crowded: bool,
}

/// A lease of a VM that is not listed.
#[derive(Clone, Copy, Debug)]
struct Unlisted {
    lease: Liveness,
    /// The ticks at which it was seen first and last.
    since: u32,
    last: u32,
}

/// One VM, and the others as it sees them.
#[derive(Debug)]
pub struct MembersView {
    vm: u64,
    listed: bool,
    /// When its own heartbeat was last seen to stand.
    shown: Timestamp,
    members: Members,
    monitor: LivenessMonitor,
    died: bool,
    /// Looks at ticks that came on time.
    ticks: u32,
    unlisted: Vec<Unlisted>,
}

impl MembersView {
    /// A VM with this number that holds nothing yet.
    pub fn new(vm: u64) -> Self {
        Self {
            vm,
            listed: false,
            shown: Timestamp::ZERO,
            members: Members::default(),
            monitor: LivenessMonitor::default(),
            died: false,
            ticks: 0,
            unlisted: Vec::new(),
        }
    }

    /// The number of this VM.
    pub const fn vm(&self) -> u64 {
        self.vm
    }

    /// Whether it is listed.
    pub const fn is_listed(&self) -> bool {
        self.listed
    }

    /// Whether it is listed, and cannot have been marked since: it may take leases.
    pub fn may_take(&self, now: Timestamp) -> bool {
        self.listed && now.since(self.shown) < MAY_BE_MARKED
    }

    /// How many VMs were listed when this one last looked.
    pub fn alive(&self) -> u32 {
        u32::try_from(self.members.liveness().len()).unwrap_or(u32::MAX)
    }

    /// The VMs that are marked as dead: what they hold is free.
    pub fn dead(&self) -> &[u64] {
        self.members.dead()
    }

    /// Whether any was marked since this was asked last.
    pub fn has_died(&mut self) -> bool {
        std::mem::take(&mut self.died)
    }

    /// Lists this VM, or moves its heartbeat.
    pub fn enroll(
        &mut self,
        state: &impl SharedState,
        key: &Key<Members>,
        now: Timestamp,
    ) -> Result<Sight, Undecided> {
        let seen = visit(state, key, Some(self.vm), &mut |_| Vec::new())?;
        Ok(self.saw(seen, now))
    }

    /// A tick, which came on time or not: a heartbeat if this VM is listed, and a look at the others, of whom those that were
    /// silent for too long are marked.
    pub fn look(
        &mut self,
        state: &impl SharedState,
        key: &Key<Members>,
        on_time: bool,
        now: Timestamp,
    ) -> Result<Sight, Undecided> {
        let mut monitor = LivenessMonitor::default();
        let before = &self.monitor;
        let seen = visit(state, key, self.listed.then_some(self.vm), &mut |members| {
            monitor = before.clone();
            monitor.observe(members.liveness(), on_time);
            monitor.dead()
        })?;
        self.monitor = monitor;
        let sight = self.saw(seen, now);
        self.ticks = self.ticks.wrapping_add(u32::from(on_time));
        let (ticks, members) = (self.ticks, &self.members);
        self.unlisted.retain(|known| {
            let recent = ticks.wrapping_sub(known.last) < REMEMBERED;
            recent && !members.is_alive(known.lease.instance)
        });
        Ok(sight)
    }

    /// It takes another number: it was given up, or goes.
    pub fn begin_anew(&mut self, vm: u64) {
        (self.vm, self.listed) = (vm, false);
    }

    /// This VM holds nothing any more.
    pub fn leave(&mut self, state: &impl SharedState, key: &Key<Members>) {
        if std::mem::take(&mut self.listed) {
            leave(state, key, self.vm);
        }
    }

    /// Whether a lease that is seen at a tick is nobody's: its VM is marked, or was not listed for as long as a silent one is
    /// given, and the lease stood unchanged. A list that was read before a VM joined it costs that VM nothing: it is found there
    /// at the next look.
    #[inline(never)]
    pub fn is_gone(&mut self, lease: Liveness) -> bool {
        let vm = vm_of(lease.instance);
        if vm == self.vm || self.members.is_alive(vm) {
            return false;
        }
        self.members.dead().contains(&vm) || self.is_unlisted_for_long(lease)
    }

    fn is_unlisted_for_long(&mut self, lease: Liveness) -> bool {
        let ticks = self.ticks;
        let mut all = self.unlisted.iter_mut();
        if let Some(known) = all.find(|known| known.lease == lease) {
            known.last = ticks;
            return ticks.wrapping_sub(known.since) >= TICKS.into();
        }
        if self.unlisted.len() < UNLISTED_MAX {
            self.unlisted.push(Unlisted {
                lease,
                since: ticks,
                last: ticks,
            });
        }
        false
    }

    fn saw(&mut self, seen: super::Visit, now: Timestamp) -> Sight {
        let known = self.members.dead();
        self.died |= seen.members.dead().iter().any(|vm| !known.contains(vm));
        self.members = seen.members;
        let sight = Sight {
            given_up: seen.given_up,
            crowded: seen.crowded,
        };
        self.listed = self.members.is_alive(self.vm);
        self.shown = now;
        sight
    }
}
