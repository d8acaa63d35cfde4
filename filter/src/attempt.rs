//! The upstream position: one attempt, from its start to its end.
//!
//! Here first attempts pay into the budget, each failed answer is voted on, and an attempt that nobody voted for, after
//! a reset or a time-out or as a hedge, is paid for or not sent. A refusal ends the whole request, with the failure that
//! came before it; a hedge that cannot be paid for waits instead, since the attempt beside it may still win. The place where it waits was
//! reserved when its request was let go ([`crate::steer::RetryAllowance::with_parking`]).

use seawall_policy::retry::attempts::{AttemptFailure, AttemptResponse, Attempts, Denial, Flags};
use seawall_policy::text;
use seawall_policy::time::{Span, Timestamp};

use crate::attempt_state::FAILOVER;
use crate::attempt_state::{self, ATTEMPT, NO_RETRY, VETO, VOTE};
use crate::host::action::Action;
use crate::host::headers::{Map, Pairs};
use crate::host::{clock, properties};
use crate::local_reply;
use crate::response;
use crate::telemetry::InternalEvent;
use crate::worker::handle::{SharedWorker, with};

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not ours, or over.
    Outside,
    /// A hedge that waits until the one beside it has ended; the worker knows whether it still does.
    Parked,
    /// It was sent, and no answer came yet.
    Waiting,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    worker: SharedWorker,
    number: u8,
    stage: Stage,
    /// Whether another may run beside it, so that its end must be known.
    hedged: bool,
    /// From when on its end is taken for the end of its own limit, if it has one.
    due: Option<Timestamp>,
}

impl Attempt {
    /// Attempt `number`, counted from 1.
    pub(crate) fn new(worker: SharedWorker, number: u64) -> Self {
        Self {
            worker,
            number: u8::try_from(number).unwrap_or(u8::MAX),
            stage: Stage::Outside,
            hedged: false,
            due: None,
        }
    }

    /// It is about to be sent.
    pub(crate) fn request_headers(&mut self, id: u32) -> Action {
        let Some(mut known) = attempt_state::load() else {
            return Action::Continue;
        };
        if known.flags.has(Flags::ELSEWHERE) {
            Map::Request.remove(FAILOVER.as_bytes());
            let went = properties::text("xds\0cluster_name");
            if went.is_some_and(|went| went != known.cluster) && local_reply::misrouted() {
                with(&self.worker, |worker| {
                    worker.count_event(InternalEvent::Misrouted);
                    Some(())
                });
                return Action::Pause;
            }
        }
        if self.number > 1 {
            with(&self.worker, |worker| worker.send_time_left(&known));
        }
        if known.flags.has(Flags::ROUTES) {
            return Action::Continue;
        }
        self.stage = Stage::Waiting;
        self.hedged = known.flags.has(Flags::HEDGED);
        let limit = with(&self.worker, |worker| worker.per_try(&known));
        self.due = limit.map(|limit| clock::now().after(earliest(limit)));
        if self.number <= 1 {
            if !known.flags.has(Flags::MARKED) {
                with(&self.worker, |worker| worker.deposit(&known));
            }
            let asked = known.flags.has(Flags::ASKED);
            if asked || self.hedged {
                known.flags.set(Flags::SEEN);
                self.starts(&mut known);
            }
            if known.flags.has(Flags::MARKED) {
                self.mark();
            }
            return Action::Continue;
        }
        known.flags.set(Flags::SEEN);
        if known.paid < self.number {
            let paid = with(&self.worker, |worker| {
                Some(worker.pay_for_start(&known, self.number))
            });
            match paid.unwrap_or(Err(Denial::Undecided)) {
                Ok(()) => known.paid = self.number,
                Err(_) if known.flags.has(Flags::SHADOW) => {}
                Err(denial) => return self.refuse(id, &mut known, denial),
            }
        }
        self.starts(&mut known);
        self.mark();
        Action::Continue
    }

    /// Its answer is there: votes on it. Never stops it, since going on into a retry kills the VM.
    pub(crate) fn response_headers(&mut self) {
        if self.stage == Stage::Outside {
            return;
        }
        self.stage = Stage::Outside;
        let pairs = Map::Response.pairs();
        // Whoever sends it of himself would retry without paying.
        if pairs.value(VOTE).is_some() {
            Map::Response.remove(VOTE.as_bytes());
        }
        let answer = judged(&pairs);
        if answer.status < 400 && answer.grpc.is_none_or(|status| status == 0) {
            return;
        }
        let Some(mut known) = attempt_state::load().filter(|known| !known.flags.has(Flags::SHADOW))
        else {
            return;
        };
        known.flags.set(Flags::SEEN);
        let next = self.number.saturating_add(1);
        let voted = with(&self.worker, |worker| {
            Some(worker.vote(&known, self.number, &answer))
        });
        if voted == Some(Ok(())) {
            known.paid = next;
            attempt_state::store(&known);
            Map::Response.set(VOTE, "1");
        } else if pairs.value(VETO).is_none() {
            known.flags.set(Flags::VETOED);
            attempt_state::store(&known);
            Map::Response.set(VETO, "true");
        } else {
            attempt_state::store(&known);
        }
    }

    /// It is over.
    pub(crate) fn done(&mut self, id: u32) {
        let stage = std::mem::replace(&mut self.stage, Stage::Outside);
        let parked = stage == Stage::Parked;
        if parked && with(&self.worker, |worker| Some(worker.unpark(id))) == Some(true) {
            return;
        }
        let unanswered = stage != Stage::Outside;
        if !unanswered && !self.hedged {
            return;
        }
        let Some(mut known) = attempt_state::load() else {
            return;
        };
        let safe = known.flags.has(Flags::SAFE);
        let death = match unanswered.then(failure_of) {
            Some(AttemptFailure::None) if self.exceeded_limit() => AttemptFailure::Timeout,
            // Where the limit would have shown, it was the connection. What is not safe to repeat is repeated by the
            // router where nothing was done yet, which looks the same from here.
            Some(AttemptFailure::None) if self.due.is_some() && safe => AttemptFailure::Reset,
            Some(known) => known,
            None => AttemptFailure::None,
        };
        known.flags.set(Flags::SEEN);
        if death != AttemptFailure::None {
            known.death = death;
        }
        known.live = known.live.saturating_sub(u8::from(self.hedged));
        attempt_state::store(&known);
    }

    /// Whether its end is that of its limit. Envoy flags that on the attempt's own record, which no filter sees.
    fn exceeded_limit(&self) -> bool {
        self.due.is_some_and(|due| clock::now() >= due)
    }

    fn starts(&self, known: &mut Attempts) {
        known.started = known.started.max(self.number);
        known.live = known.live.saturating_add(1);
        attempt_state::store(known);
    }

    /// Those behind are told that it is a retry.
    fn mark(&self) {
        Map::Request.set(ATTEMPT, &text::written(u64::from(self.number.max(2))));
    }

    fn refuse(&mut self, id: u32, known: &mut Attempts, denial: Denial) -> Action {
        if known.flags.has(Flags::HEDGED) && known.live > 0 {
            known.started = known.started.max(self.number);
            attempt_state::store(known);
            self.stage = Stage::Parked;
            let parked = with(&self.worker, |worker| Some(worker.park(id)));
            if parked == Some(true) {
                return Action::Pause;
            }
            // More wait here than any request reserved a place for. It is not sent, and a reply would end the attempt
            // beside it: it stays until its request ends.
            self.stage = Stage::Outside;
            self.hedged = false;
            return Action::Pause;
        }
        known.flags.set(Flags::REFUSED);
        attempt_state::store(known);
        self.stage = Stage::Outside;
        match local_reply::retry_refused(known.death, denial) {
            true => Action::Pause,
            false => Action::Continue,
        }
    }
}

/// What becomes of a hedge that waits, seen from a tick that speaks for it: it goes or is answered once nothing runs
/// beside it any more. `true` once it need not wait any longer.
pub(crate) fn leave_parking(pay: impl FnOnce(&Attempts) -> Result<(), Denial>) -> bool {
    let Some(mut known) = attempt_state::load() else {
        crate::host::streams::resume();
        return true;
    };
    if known.live > 0 {
        return false;
    }
    match pay(&known) {
        Ok(()) => {
            known.paid = known.paid.max(known.started);
            known.live = 1;
            attempt_state::store(&known);
            crate::host::streams::resume();
        }
        Err(denial) => {
            known.flags.set(Flags::REFUSED);
            attempt_state::store(&known);
            local_reply::retry_refused(known.death, denial);
        }
    }
    true
}

/// How long an attempt at least takes that its limit ends. Envoy's timers count from the start of a turn of its event loop,
/// which on a busy worker lies well before the attempt, and so end it early by our clock.
fn earliest(limit: Span) -> Span {
    Span::nanos(limit.as_nanos().saturating_sub(limit.as_nanos() >> 2))
}

/// What an answer says about trying again.
fn judged(pairs: &Pairs) -> AttemptResponse {
    let pushback = pairs.value("grpc-retry-pushback-ms").is_some();
    // What cannot be read was written by one who wants to be left alone.
    let later = pairs.value("retry-after").map(response::later);
    let later = later.is_some_and(|time| time != Some(Span::ZERO));
    let told = pairs.value(NO_RETRY).is_some() || pairs.value(VETO).is_some();
    AttemptResponse {
        status: pairs.number(":status").unwrap_or(0),
        grpc: pairs.number("grpc-status"),
        unwilling: pushback || later || told,
    }
}

/// What an attempt without an answer died of.
fn failure_of() -> AttemptFailure {
    use seawall_policy::outcome::flag;
    let flags = properties::number("response\0flags").unwrap_or(0);
    if flags & flag::UPSTREAM_CONNECT != 0
        || properties::bytes("upstream\0transport_failure_reason")
            .is_some_and(|reason| !reason.is_empty())
    {
        return AttemptFailure::Connect;
    }
    if flags & flag::UPSTREAM_TIMEOUT != 0 {
        return AttemptFailure::Timeout;
    }
    if flags & (flag::UPSTREAM_RESET | flag::UPSTREAM_TERMINATION | flag::UPSTREAM_PROTOCOL) != 0 {
        return AttemptFailure::Reset;
    }
    AttemptFailure::None
}
