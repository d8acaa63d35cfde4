//! Which VMs live: one record with a heartbeat of each VM that holds slots anywhere.
//!
//! A VM may hold slots under thousands of keys, and cannot give a sign of life under each of them in every tick. So it
//! gives one here, in every tick, however long its round over the keys takes. Who is silent here for three ticks of an
//! observer ([`crate::liveness`]) is dead under every key at once: what it held counts no longer for anybody who takes a
//! slot, and is removed by whoever looks next.
//!
//! An instance number is the VM's number and, in its lowest eight bits, how often the VM had to begin anew under that key.
//! Holders whose VM is not listed (an older filter, or one of more than [`MEMBERS_MAX`]) are watched under each key, by the
//! signs that they give there.

use super::codec::{bounded, decoded};
use crate::liveness::Liveness;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{Change, Key, SharedRecord, SharedState, Undecided, Unreadable};

/// How many VMs are listed.
pub const MEMBERS_MAX: usize = 1_024;
/// How many dead ones are remembered; the oldest are forgotten first.
pub const DEAD_MAX: usize = 64;
/// The version of the layout.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SM";
const EPOCHS: u64 = 0xff;

/// A VM's number from a random draw; never 0.
pub const fn vm(draw: u64) -> u64 {
    match draw & !EPOCHS {
        0 => EPOCHS + 1,
        number => number,
    }
}

/// Whose instance number it is.
pub const fn vm_of(instance: u64) -> u64 {
    instance & !EPOCHS
}

/// The number under which the same VM begins anew.
pub const fn next(instance: u64) -> u64 {
    vm_of(instance) | (instance.wrapping_add(1) & EPOCHS)
}

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

/// What a heartbeat found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who lives and who is dead, now.
    pub members: Members,
    /// Whether this VM was given up for dead: what it held is void, and it needs another number.
    pub given_up: bool,
    /// Whether there was no room to list it.
    pub crowded: bool,
}

/// Gives a sign of life of `vm`, and lists those in `silent` as dead that gave none since.
pub fn heartbeat(
    store: &impl SharedState,
    key: &Key<Members>,
    vm: u64,
    silent: &[Liveness],
) -> Result<Heartbeat, Undecided> {
    let mut seen = Err(Undecided::Later);
    let stored = store.update(key, |stored| {
        let members = stored.or_empty();
        let given_up = members.dead.contains(&vm);
        let listed = given_up || members.beat(vm);
        members.mark_dead(silent);
        seen = Ok(Heartbeat {
            members: members.clone(),
            given_up,
            crowded: !listed,
        });
        Change::Store
    })?;
    match stored {
        true => seen,
        // Too many others came in between: what was read is not what stands.
        false => Err(Undecided::Later),
    }
}

/// This VM holds nothing any more and goes.
pub fn leave(store: &impl SharedState, key: &Key<Members>, vm: u64) {
    let _ = store.update(key, |stored| {
        let members = stored.or_empty();
        let before = members.alive.len();
        members.alive.retain(|sign| sign.instance != vm);
        Change::stored_if(members.alive.len() < before)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liveness::LivenessMonitor;
    use crate::shared::store::SharedStore;
    use crate::shared::store::tests::Memory;
    use proptest::prelude::*;

    static KEY: Key<Members> = Key::test("members");

    fn beat(store: &Memory, vm: u64, silent: &[Liveness]) -> Heartbeat {
        heartbeat(store, &KEY, vm, silent).unwrap()
    }

    #[test]
    fn a_number_says_whose_it_is() {
        let first = vm(u64::MAX);
        let mut number = first;
        for _ in 0..EPOCHS {
            number = next(number);
            assert!(vm_of(number) == first && number != first);
        }
        assert_eq!(next(number), first, "after 256 times");
        assert!(vm(0) > 0 && vm_of(vm(7)) == vm(7));
    }

    #[test]
    fn who_is_silent_for_three_looks_is_dead_for_all_and_who_only_was_slow_learns_it() {
        let store = Memory::default();
        let (dies, lives) = (vm(1 << 8), vm(2 << 8));
        beat(&store, dies, &[]);
        let mut watch = LivenessMonitor::default();
        let mut seen = beat(&store, lives, &[]).members;
        for look in 0..4 {
            assert!(seen.is_alive(next(dies)), "look {look}");
            assert!(watch.dead().is_empty(), "look {look}");
            watch.observe(seen.liveness(), true);
            seen = beat(&store, lives, &[]).members;
        }
        let silent = watch.dead();
        assert_eq!(silent.len(), 1);
        seen = beat(&store, lives, &silent).members;
        assert!(seen.dead() == [dies] && !seen.is_alive(dies) && seen.is_alive(lives));
        assert!(beat(&store, dies, &[]).given_up);
        assert!(!beat(&store, lives, &[]).given_up);
    }

    #[test]
    fn who_gave_a_sign_since_the_look_is_not_buried() {
        let store = Memory::default();
        let one = vm(1 << 8);
        let seen = beat(&store, one, &[]).members;
        beat(&store, one, &[]);
        let after = beat(&store, vm(2 << 8), seen.liveness()).members;
        assert!(after.is_alive(one) && after.dead().is_empty());
    }

    #[test]
    fn there_is_room_for_so_many_and_the_oldest_dead_are_forgotten_first() {
        let store = Memory::default();
        let number = |at: usize| vm((at as u64 + 1) << 8);
        for at in 0..MEMBERS_MAX {
            assert!(!beat(&store, number(at), &[]).crowded);
        }
        let one_more = beat(&store, number(MEMBERS_MAX), &[]);
        assert!(one_more.crowded);
        let all = one_more.members.liveness().to_vec();
        let after = beat(&store, number(MEMBERS_MAX), &all).members;
        assert_eq!(after.dead().len(), DEAD_MAX);
        assert!(after.dead().contains(&number(MEMBERS_MAX - 1)));
        assert!(!after.dead().contains(&number(0)));
        leave(&store, &KEY, number(MEMBERS_MAX));
        let left = Members::decode(&store.load(KEY.as_str()).unwrap().unwrap().bytes).unwrap();
        assert!(left.liveness().is_empty());
    }

    #[test]
    fn a_later_version_is_left_alone_and_damage_lists_nobody() {
        let store = Memory::default();
        let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
        store.swap(KEY.as_str(), &later, 0).unwrap();
        assert_eq!(heartbeat(&store, &KEY, 256, &[]), Err(Undecided::Later));
        leave(&store, &KEY, 256);
        assert_eq!(store.load(KEY.as_str()).unwrap().unwrap().bytes, later);
        store.swap(KEY.as_str(), b"rubbish", 0).unwrap();
        assert_eq!(beat(&store, 256, &[]).members.liveness().len(), 1);
    }

    proptest! {
        #[test]
        fn members_read_back_as_they_were_written(
            alive in prop::collection::vec((any::<u64>(), any::<u32>()), 0..MEMBERS_MAX),
            dead in prop::collection::vec(any::<u64>(), 0..DEAD_MAX),
            at in any::<prop::sample::Index>(),
        ) {
            let alive = alive.into_iter().map(|(instance, beat)| Liveness { instance, beat }).collect();
            let members = Members { alive, dead };
            let bytes = members.encode();
            prop_assert_eq!(Members::decode(&bytes), Ok(members));
            let cut = at.index(bytes.len());
            prop_assert!(cut == 0 || Members::decode(&bytes[..cut]).is_err());
        }
    }
}
