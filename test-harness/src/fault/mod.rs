//! What goes wrong, and when: `errors,at=60s,for=60s,share=50`.

mod text;
mod toxic;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use toxic::{Direction, Toxic};

/// What an upstream does while it is sick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answers with 503.
    Errors,
    /// Refuses connections.
    Refuse,
    /// Takes requests and never answers.
    Hang,
    /// Cuts connections.
    Reset,
    /// Refuses streams on a connection that stands: nothing was done for them.
    RefuseStream,
    /// Resets streams on a connection that stands.
    ResetStream,
    /// Answers later, by `by`.
    Latency,
    /// Answers 404.
    NotFound,
    /// Work that starts has only a part of the speed, `left`.
    Slow,
    /// What is in work is lost, and connections are refused. The hosts are new afterwards.
    Crash,
    /// Packets to the hosts are lost: connections time out after `by`.
    Blackhole,
    /// Answers are no HTTP.
    Garbage,
    /// Each worker's VM of the filter dies, in all Envoys.
    KillVm,
    /// Nonsense takes the place of all that the filter shares, in all Envoys.
    CorruptState,
    /// The wall clocks of all Envoys are ahead by `by`; at the end they jump back.
    Clock,
    /// Nothing passes between a zone and another one, or all others: connections time out after `by`.
    Partition,
    /// A connection carries so many bytes a second.
    Bandwidth,
    /// That a connection is closed is seen later, by `by`.
    SlowClose,
    /// What is sent comes in small pieces, with `by` between two of them.
    Slicer,
    /// A connection is closed once so many bytes have passed.
    LimitData,
}

impl Kind {
    /// Whether it hits whole hosts of an upstream, and no single attempt.
    pub fn is_of_hosts(self) -> bool {
        matches!(self, Self::Slow | Self::Crash)
    }

    /// Whether it is about the bytes of a connection, and not about what a host does.
    pub fn is_of_bytes(self) -> bool {
        matches!(
            self,
            Self::Bandwidth | Self::SlowClose | Self::Slicer | Self::LimitData
        )
    }

    /// Whether it hits Envoys, and no upstream.
    pub fn is_of_envoys(self) -> bool {
        matches!(self, Self::KillVm | Self::CorruptState | Self::Clock)
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// From when, in nanoseconds since the trace began.
    pub at: u64,
    /// For how long, in nanoseconds.
    pub length: u64,
    /// On which share of the requests, in percent.
    pub share: f64,
    /// With latency and slow_close: how much later; with blackhole: the time limit of a connection; with clock: how much ahead;
    /// with slicer: the time between two pieces; in nanoseconds.
    pub by: u64,
    /// With latency: so much more or less, in nanoseconds, any time as likely as another.
    #[serde(default, skip_serializing_if = "is_0")]
    pub jitter: u64,
    /// With slow: so much of the speed is left, in percent.
    #[serde(default = "all", skip_serializing_if = "is_100")]
    pub left: u32,
    /// With the faults of a connection's bytes: what it does to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toxic: Option<Toxic>,
    /// At this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// At these hosts alone, from the first to the last; they count from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<(usize, usize)>,
    /// At hosts of this zone alone; with partition, the zone that is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// On attempts that come from this zone alone; with partition, the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// On the first so many attempts of a request alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

fn is_0(value: &u64) -> bool {
    *value == 0
}

fn all() -> u32 {
    100
}

fn is_100(value: &u32) -> bool {
    *value == 100
}

impl Fault {
    /// Whether it holds at this time.
    pub fn holds(&self, now: u64) -> bool {
        (self.at..self.end()).contains(&now)
    }

    /// Whether it is at this host of this service, which is in this zone.
    pub fn hits(&self, service: &str, host: usize, zone: Option<&str>) -> bool {
        self.service.as_ref().is_none_or(|name| name == service)
            && self
                .hosts
                .is_none_or(|(first, last)| (first..=last).contains(&host))
            && (self.kind == Kind::Partition || is_in(self.zone.as_deref(), zone))
    }

    /// Whether it is on what goes from one zone to another.
    pub fn is_between(&self, from: Option<&str>, to: Option<&str>) -> bool {
        if self.kind != Kind::Partition {
            return is_in(self.from.as_deref(), from);
        }
        let parted = |one: Option<&str>, other: Option<&str>| {
            let is_other = match self.from.as_deref() {
                None => other != self.zone.as_deref(),
                side => other == side,
            };
            one == self.zone.as_deref() && is_other
        };
        parted(from, to) || parted(to, from)
    }

    /// When it ends.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.length)
    }
}

/// Whether something is in the zone that is asked for, if any is.
fn is_in(asked: Option<&str>, zone: Option<&str>) -> bool {
    asked.is_none() || asked == zone
}

#[cfg(test)]
mod tests;
