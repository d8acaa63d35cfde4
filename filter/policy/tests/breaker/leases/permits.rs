//! Half-open permits in the world: a ledger beside the record knows which probes went out and what came back.

use seawall_policy::admission::{Decision, MayHold, Request, Settlement, admit, settle};
use seawall_policy::breaker::{Asker, Permit, State, Verdict};
use seawall_policy::outcome::Outcome;
use seawall_policy::shared::instance::vm_of;
use seawall_policy::shared::record::Record;
use seawall_policy::shared::store::SharedStore;

use super::{KEY, Turn, World, count};

/// A permit of a VM.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    number: u32,
    permit: Permit,
    /// Its VM was given up for dead, and does not know it.
    void: bool,
    /// Whether it was seen to stand in the record.
    seen: bool,
}

/// What is known of one half-open generation without looking at the record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    generation: u64,
    verdicts: u32,
    /// Since when permits are held without a verdict.
    wait_from: Option<u64>,
}

impl World {
    pub(super) fn record(&self) -> Option<Record> {
        let found = self.load(KEY.as_str()).expect("it is readable")?;
        Record::decode(&found.bytes).ok()
    }

    pub(super) fn ask(&self, vm: usize) {
        let now = self.moment().now;
        let may_hold = match self.vm(vm, |vm| vm.view.may_take(now)) {
            true => MayHold::Yes,
            false => MayHold::Unlisted,
        };
        if self.ask_as(vm, may_hold) {
            self.enroll(vm);
            assert!(!self.ask_as(vm, MayHold::Yes));
        }
    }

    /// Asks for a permit; whether the VM has to be listed first.
    fn ask_as(&self, vm: usize, may_hold: MayHold) -> bool {
        let request = Request {
            inbound: false,
            asker: Asker {
                peer: 0,
                complete: true,
            },
            deposits: 0,
            draw: 0,
            local_permits: self.vm(vm, |vm| vm.permits),
            may_hold,
        };
        let dead = self.vm(vm, |vm| vm.view.dead().to_vec());
        let upstream = self.upstream_without(&dead);
        let (decision, notes) = admit(self, &upstream, &request, self.moment());
        self.vm(vm, |vm| {
            if notes.expired {
                vm.permits = vm.permits.anew();
            }
            if let Decision::Admit(Some(permit)) = decision {
                count(&self.admitted);
                if let Some(instance) = permit.probe {
                    count(&self.probes);
                    vm.permits.took(instance, permit.generation);
                }
                vm.held.push(Held {
                    number: self.admitted.get(),
                    permit,
                    void: false,
                    seen: false,
                });
            }
        });
        notes.needs_listing
    }

    fn returned(&self, vm: usize, permit: Permit) {
        if let Some(instance) = permit.probe {
            self.vm(vm, |vm| vm.permits.returned(instance, permit.generation));
        }
    }

    pub(super) fn end_probe(&self, vm: usize, which: usize, outcome: Outcome) {
        let held = self.vm(vm, |vm| vm.held.len());
        if held == 0 {
            return;
        }
        let Held { number, permit, .. } = self.vm(vm, |vm| vm.held[which % held]);
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer: 0,
            silent: false,
        };
        let settlement = Settlement::Verdict(verdict);
        // The step itself takes back what was held for too long, before it looks for the permit.
        let wait = self.policy.breaker.half_open.wait.as_millis();
        let waited = self.ledger.get().wait_from;
        let waited = waited.is_some_and(|from| from + wait <= self.now.get());
        self.waited.set(self.waited.get() | waited);
        let dead = self.vm(vm, |vm| vm.view.dead().to_vec());
        let upstream = self.upstream_without(&dead);
        let notes = settle(self, &upstream, permit, settlement, self.moment());
        if !notes.is_committed() {
            // Still to be settled: the permit stays where it is.
            return;
        }
        let void = self.vm(vm, |vm| {
            let place = vm.held.iter().position(|held| held.number == number);
            let held = vm.held.remove(place.expect("it is held"));
            let number = permit.probe.map(vm_of);
            let own = number.is_none_or(|number| number == vm.view.vm());
            held.void || !own || !vm.is_alive()
        });
        self.returned(vm, permit);
        let mut ledger = self.ledger.get();
        if ledger.generation != permit.generation {
            return;
        }
        // What holds a permit counts; what lost it counts where there is room.
        if notes.counted.is_some() {
            ledger.verdicts += 1;
            ledger.wait_from = Some(self.now.get());
            self.ledger.set(ledger);
            let late = permit.probe.is_none() || void;
            self.late.set(self.late.get() + u32::from(late));
        } else if permit.probe.is_some() && !void && !waited && outcome.counts() {
            self.wrong
                .borrow_mut()
                .push(format!("the verdict of {number} was not counted"));
        }
    }

    pub(super) fn lapse(&self, vm: usize, which: usize) {
        let held = self.vm(vm, |vm| vm.held.len());
        if held == 0 {
            return;
        }
        let Held { number, permit, .. } = self.vm(vm, |vm| vm.held[which % held]);
        let settlement = Settlement::GiveBack { peer: 0 };
        let dead = self.vm(vm, |vm| vm.view.dead().to_vec());
        let upstream = self.upstream_without(&dead);
        let notes = settle(self, &upstream, permit, settlement, self.moment());
        if notes.is_committed() {
            self.returned(vm, permit);
            self.vm(vm, |vm| {
                let mut held = vm.held.iter_mut();
                let held = held.find(|held| held.number == number);
                held.expect("it is held").permit.probe = None;
            });
        }
    }

    /// The record against the ledger; what a worker lost must have been lost for a reason.
    pub(super) fn compare_permits(&self, after: Turn) {
        let Some(record) = self.record() else { return };
        let State::HalfOpen(probing) = &record.breaker.state else {
            return;
        };
        let generation = record.breaker.generation;
        let mut ledger = self.ledger.get();
        if ledger.generation != generation {
            ledger = Ledger {
                generation,
                ..Ledger::default()
            };
        }
        let (mut flying, mut survivors, mut lost) = (0, 0, 0);
        // What is held for too long without a verdict is taken back from all.
        let wait = self.policy.breaker.half_open.wait.as_millis();
        let waited = self.waited.get()
            || ledger
                .wait_from
                .is_some_and(|from| from + wait <= self.now.get());
        for vm in self.vms.borrow_mut().iter_mut() {
            let alive = vm.is_alive();
            for held in vm.held.iter_mut().filter(|held| !held.void) {
                let Some(instance) = held.permit.probe else {
                    continue;
                };
                if held.permit.generation != generation {
                    continue;
                }
                if probing.holders.held_by(instance) > 0 {
                    flying += 1;
                    survivors += u32::from(std::mem::replace(&mut held.seen, true));
                    continue;
                }
                held.void = true;
                lost += 1;
                count(&self.expired);
                let own = vm_of(instance) == vm.view.vm();
                if alive && own && !waited {
                    let text = format!("{instance} was given up alive, after {after:?}");
                    self.wrong.borrow_mut().push(text);
                }
            }
        }
        // What was held for too long is taken back from all; then the wait begins anew.
        if waited && lost > 0 && survivors == 0 {
            ledger.wait_from = None;
        }
        ledger.wait_from = match flying {
            0 => None,
            _ => ledger.wait_from.or(Some(self.now.get())),
        };
        self.ledger.set(ledger);
        let permits = self.policy.breaker.half_open.permits;
        let in_flight = probing.holders.in_flight();
        let agree = in_flight == flying && probing.verdicts.calls == ledger.verdicts;
        let within = flying + ledger.verdicts <= permits;
        if !agree || !within {
            self.wrong.borrow_mut().push(format!(
                "after {after:?}: {probing:?}, in flight {flying}, {ledger:?}, permits {permits}"
            ));
        }
    }
}
