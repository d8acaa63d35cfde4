//! What goes wrong, as knobs of the upstream program, host by host.

use seawall_harness::fault::{Fault, Kind};

use super::plan::Plan;
use crate::upstream::Knobs;

/// A socket of the upstream: which one of which host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Door {
    /// The host.
    pub(super) host: usize,
    /// The socket.
    pub(super) number: usize,
}

impl Plan {
    /// All sockets.
    pub(super) fn doors(&self) -> impl Iterator<Item = Door> {
        let doors = self.doors;
        (0..self.hosts).flat_map(move |host| (0..doors).map(move |number| Door { host, number }))
    }

    /// How a socket of the upstream is at this time, in nanoseconds since the trace began. As in the simulation the first fault
    /// that holds counts, and a slower one beside it.
    pub(super) fn knobs(&self, faults: &[Fault], door: Door, now: u64) -> Knobs {
        let mut knobs = self.well.clone();
        let holding = || {
            let holds = move |fault: &&Fault| {
                fault.holds(now) && fault.hits(&self.cluster, door.host, None)
            };
            faults.iter().filter(holds)
        };
        if let Some(slow) = holding().find(|fault| fault.kind == Kind::Slow) {
            knobs.speed = slow.left;
        }
        let first = holding().find(|fault| fault.kind != Kind::Slow && !fault.kind.is_of_envoys());
        let Some(fault) = first else {
            return knobs;
        };
        let share = fault.share / 100.0;
        match fault.kind {
            Kind::Errors => knobs.error_rate = share,
            Kind::NotFound => knobs.not_found_rate = share,
            Kind::Reset => knobs.reset_rate = share,
            Kind::Refuse => knobs.refuse = (door.number as f64) < share * self.doors as f64,
            Kind::Crash => knobs.refuse = true,
            Kind::Hang => knobs.hang = true,
            Kind::Blackhole => knobs.blackhole = true,
            Kind::Garbage => knobs.garbage = true,
            Kind::Latency => {
                knobs.latency_ms = fault.by.saturating_sub(fault.jitter) / 1_000_000;
                knobs.jitter_ms = 2 * fault.jitter / 1_000_000;
            }
            Kind::Slow
            | Kind::RefuseStream
            | Kind::ResetStream
            | Kind::KillVm
            | Kind::CorruptState
            | Kind::Clock
            | Kind::Partition
            | Kind::Bandwidth
            | Kind::Slicer
            | Kind::LimitData
            | Kind::SlowClose => {}
        }
        knobs
    }
}

/// When the upstream's knobs change, in order, in nanoseconds since the trace began.
pub(super) fn changes(faults: &[Fault]) -> Vec<u64> {
    let of_upstream = faults.iter().filter(|fault| !fault.kind.is_of_envoys());
    let mut all: Vec<u64> = of_upstream
        .flat_map(|fault| [fault.at, fault.end()])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// When VMs of the filter die.
pub(super) fn deaths(faults: &[Fault]) -> Vec<u64> {
    let kills = faults.iter().filter(|fault| fault.kind == Kind::KillVm);
    kills.map(|fault| fault.at).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chaos::plan::Connections;

    fn plan(hosts: usize, doors: usize) -> Plan {
        Plan {
            cluster: "upstream".to_owned(),
            hosts,
            doors,
            well: Knobs::default(),
            connect: Duration::from_secs(1),
            kills: false,
            connections: Connections::none(),
        }
    }

    #[test]
    fn a_fault_is_a_knob_of_the_hosts_that_it_hits_while_it_holds() {
        let read = |text: &str| text.parse::<Fault>().unwrap();
        let faults = [
            read("crash,at=1s,for=2s,hosts=1-1"),
            read("latency,at=2s,for=2s,by=3s,jitter=500ms"),
            read("slow,at=2s,for=1s,left=10"),
        ];
        let second = 1_000_000_000;
        let at = |host, now: u64| plan(2, 1).knobs(&faults, Door { host, number: 0 }, now * second);
        assert_eq!(at(0, 1), Knobs::default());
        assert!(at(1, 1).refuse && at(1, 2).refuse && !at(1, 3).refuse);
        let slow = at(0, 2);
        assert_eq!(
            (slow.latency_ms, slow.jitter_ms, slow.speed),
            (2_500, 1_000, 10)
        );
        assert_eq!((at(1, 3).latency_ms, at(1, 3).speed), (2_500, 100));
        assert_eq!(at(1, 4), Knobs::default());
        assert_eq!(changes(&faults), [1, 2, 3, 4].map(|at| at * second));
    }

    #[test]
    fn a_part_of_the_connections_is_a_part_of_the_sockets() {
        let faults = ["refuse,at=0s,for=1s,share=80".parse::<Fault>().unwrap()];
        let plan = plan(2, 10);
        let closed = plan
            .doors()
            .filter(|door| plan.knobs(&faults, *door, 0).refuse);
        assert_eq!((closed.count(), plan.doors().count()), (16, 20));
    }
}
