//! Members: which VMs of the process live. One record for all that VMs hold, of whatever kind.
//!
//! A VM lists itself at its first tick, or before it takes its first lease ([`super::leases`]), and moves its heartbeat there at every tick. Every VM
//! that has a policy with leases reads the list at its tick, one that is not listed and the main thread's too. Who is listed
//! and was silent for three ticks of an observer ([`crate::liveness`]) is marked as dead by it: for all observers, and under
//! every key at once. [`view`] is what one VM knows of the others.
//!
//! The dead are remembered by number, the last [`DEAD_MAX`] of them. There is room for [`MEMBERS_MAX`] VMs; a further one takes
//! no leases.

pub mod view;

use crate::liveness::Liveness;
use crate::shared::envelope::{Reader, Writer, bounded, decoded};
use crate::shared::instance::vm_of;
use crate::shared::state::{Change, Key, SharedRecord, SharedState, Undecided, Unreadable};

/// How many VMs are listed.
pub const MEMBERS_MAX: usize = 1_024;
/// How many dead ones are remembered; the oldest are forgotten first.
pub const DEAD_MAX: usize = 64;
/// The version of the layout.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SM";

/// The VMs that are known to live, and those known to be dead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// In the order of their numbers.
    alive: Vec<Liveness>,
    dead: Vec<u64>,
}

impl Members {
    /// Whose heartbeats are to be watched.
    pub fn liveness(&self) -> &[Liveness] {
        &self.alive
    }

    /// The VMs that died.
    pub fn dead(&self) -> &[u64] {
        &self.dead
    }

    /// Whether the VM with this instance number lives, as far as is known.
    pub fn is_alive(&self, instance: u64) -> bool {
        self.find(vm_of(instance)).is_ok()
    }

    /// One more heartbeat of this VM; `false` if there is no room to list it.
    fn beat(&mut self, vm: u64) -> bool {
        match self.find(vm) {
            Ok(at) => {
                if let Some(sign) = self.alive.get_mut(at) {
                    sign.beat = sign.beat.wrapping_add(1);
                }
                true
            }
            Err(at) => {
                let room = self.alive.len() < MEMBERS_MAX;
                let beat = 1;
                if room {
                    self.alive.insert(at, Liveness { instance: vm, beat });
                }
                room
            }
        }
    }

    fn find(&self, vm: u64) -> Result<usize, usize> {
        self.alive.binary_search_by_key(&vm, |sign| sign.instance)
    }

    /// Those in `silent` that gave no sign since are dead from now on.
    fn mark_dead(&mut self, silent: &[Liveness]) {
        for sign in silent {
            let before = self.alive.len();
            self.alive.retain(|known| known != sign);
            if self.alive.len() < before {
                self.dead.push(sign.instance);
            }
        }
        let over = self.dead.len().saturating_sub(DEAD_MAX);
        self.dead.drain(..over);
    }

    /// The bytes for shared data: about 10, and 12 for each VM that lives.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u16(self.alive.len() as u16);
        for sign in &self.alive {
            out.u64(sign.instance);
            out.u32(sign.beat);
        }
        out.u16(self.dead.len() as u16);
        for vm in &self.dead {
            out.u64(*vm);
        }
        out.sealed(VERSION)
    }

    /// Reads what [`Members::encode`] wrote. No bytes at all list nobody.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        decoded(bytes, MAGIC, VERSION, read)
    }
}

impl SharedRecord for Members {
    fn encode(&self) -> Vec<u8> {
        Self::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::decode(bytes)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Members> {
    let mut members = Members::default();
    for _ in 0..bounded(reader, MEMBERS_MAX)? {
        members.alive.push(Liveness {
            instance: reader.u64()?,
            beat: reader.u32()?,
        });
    }
    for _ in 0..bounded(reader, DEAD_MAX)? {
        members.dead.push(reader.u64()?);
    }
    Some(members)
}

/// What a visit of the list found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Who lives and who is dead, now.
    pub members: Members,
    /// Whether the visitor is marked as dead itself: what it held is void, and it needs another number.
    pub given_up: bool,
    /// Whether there was no room to list it.
    pub crowded: bool,
}

/// Reads the list; moves the heartbeat of `own`, which lists it; marks those as dead that `silent` names, which is told how the list
/// stands. There is no write where there is nothing to change.
#[inline(never)]
pub fn visit(
    state: &impl SharedState,
    key: &Key<Members>,
    own: Option<u64>,
    silent: &mut dyn FnMut(&Members) -> Vec<Liveness>,
) -> Result<Visit, Undecided> {
    let mut seen = Err(Undecided::Later);
    let stands = state.update(key, |stored| {
        let members = stored.or_empty();
        let given_up = own.is_some_and(|vm| members.dead.contains(&vm));
        // Who finds itself marked was away, and judges nobody.
        let listed = own.filter(|_| !given_up).map(|vm| members.beat(vm));
        let silent = match given_up {
            true => Vec::new(),
            false => silent(members),
        };
        members.mark_dead(&silent);
        seen = Ok(Visit {
            members: members.clone(),
            given_up,
            crowded: listed == Some(false),
        });
        Change::stored_if(listed == Some(true) || !silent.is_empty())
    })?;
    match stands {
        true => seen,
        // Too many others came in between: what was read is not what stands.
        false => Err(Undecided::Later),
    }
}

/// This VM holds nothing any more and goes.
pub fn leave(state: &impl SharedState, key: &Key<Members>, vm: u64) {
    let _ = state.update(key, |stored| {
        let members = stored.or_empty();
        let before = members.alive.len();
        members.alive.retain(|sign| sign.instance != vm);
        Change::stored_if(members.alive.len() < before)
    });
}

#[cfg(test)]
mod tests;
