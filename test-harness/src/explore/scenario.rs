//! What is explored: workers, what each does, when time moves, what must hold.

use std::fmt;
use std::str::FromStr;

use crate::process::Properties;

/// One thing that a worker does, with all callbacks that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request comes; where the filter lets it go its first attempt is sent.
    Ask,
    /// The oldest attempt under way is answered with this status; a vote for a retry is carried out, or dropped.
    Answer(u16, bool),
    /// The oldest attempt under way is reset by the upstream.
    Reset,
    /// The client of the oldest attempt under way goes away.
    Leave,
    /// A tick.
    Tick,
}

/// Something that happens before or after what is explored, without anybody in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// One worker, counted from 0, does its next step, which is this.
    One(usize, Step),
    /// Each worker that lives does its next step, which is this.
    Each(Step),
    /// Time passes, in nanoseconds.
    Wait(u64),
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is about, in a line.
    pub about: &'static str,
    /// The filter's configuration.
    pub configuration: String,
    /// What was before: it brings the process into the state in which it gets interesting.
    pub before: Vec<Forced>,
    /// What each worker does, in every order.
    pub scripts: Vec<Vec<Step>>,
    /// The moves of the clock, in nanoseconds, each at any time.
    pub time: Vec<u64>,
    /// How many VMs may be killed, wherever they stand.
    pub kills: u8,
    /// What the host fails at once, as in [`super::HostFault`]; all must be made good.
    pub fault: Option<HostFault>,
    /// What comes after, when all have done what they had to do: the process must get well again.
    pub after: Vec<Forced>,
    /// How many preemptions; `None` is all there are.
    pub preemptions: Option<u32>,
    /// How many verdicts must stand at the end in a breaker that stayed closed; `None` where it need not.
    pub verdicts: Option<u32>,
    /// How many latencies must stand at the end, if any.
    pub latencies: Option<u32>,
    /// How many retries must have gone at the end, if nobody died; `None` where it depends on the order.
    pub retries: Option<u32>,
    /// How many probes must have gone at the end in a generation that is still half-open, if nobody died.
    pub probes: Option<u32>,
}

/// A status that the host answers at one call of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFault {
    /// The worker, counted from 0.
    pub worker: usize,
    /// The call, as in `proxy_get_property`.
    pub call: String,
    /// Which of its calls of that name, counted from 1 after the VM has its configuration.
    pub nth: u64,
    /// The status.
    pub status: u32,
}

impl fmt::Display for HostFault {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worker, call, nth) = (self.worker + 1, &self.call, self.nth);
        write!(f, "{worker}:{call}:{nth}={}", self.status)
    }
}

impl FromStr for HostFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (at, status) = text.split_once('=')?;
            let mut parts = at.splitn(3, ':');
            let worker = parts.next()?.parse::<usize>().ok()?.checked_sub(1)?;
            Some(Self {
                worker,
                call: parts.next()?.to_owned(),
                nth: parts.next()?.parse().ok()?,
                status: status.parse().ok()?,
            })
        };
        let how = "write WORKER:CALL:NTH=STATUS, such as 1:proxy_set_shared_data:3=2";
        read().ok_or_else(|| format!("\"{text}\" is no fault: {how}"))
    }
}

impl Scenario {
    /// All that a worker does, from the first to the last. Says too where what is explored begins and where it ends.
    pub(super) fn steps_of(&self, worker: usize) -> (Vec<Step>, usize, usize) {
        let of = |forced: &[Forced]| -> Vec<Step> {
            let mine = forced.iter().filter_map(|forced| match forced {
                Forced::One(number, step) => (*number == worker).then_some(*step),
                Forced::Each(step) => Some(*step),
                Forced::Wait(_) => None,
            });
            mine.collect()
        };
        let (before, after) = (of(&self.before), of(&self.after));
        let begin = before.len();
        let end = begin + self.scripts[worker].len();
        let all = [before, self.scripts[worker].clone(), after].concat();
        (all, begin, end)
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.scripts.len()
    }
}

/// What every stream of an exploration can read.
pub(super) fn properties() -> Properties {
    let outbound = 2_u64.to_le_bytes().to_vec();
    let all = [
        ("xds\0cluster_name", b"upstream".to_vec()),
        ("xds\0listener_direction", outbound),
        ("upstream\0address", b"10.0.0.1:80".to_vec()),
    ];
    all.into_iter()
        .map(|(path, value)| (path.to_owned(), value))
        .collect()
}
