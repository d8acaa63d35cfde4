//! The upstream position: one attempt, from its start to its end.
//!
//! Here first attempts pay into the budget, each failed answer is voted on, and an attempt that nobody voted for, after
//! a reset or a time-out or as a hedge, is paid for or not sent. A refusal ends the whole request, with the failure that
//! came before it; a hedge that cannot be paid for waits instead, since the attempt beside it may still win. The place where it waits was
//! reserved when its request was let go ([`crate::request::router_headers::RetryAllowance::with_parking`]).

pub(crate) mod state;

use crate::environment::effects::{Action, Effect, Effects};
use crate::environment::facts::{Facts, ResponseFact, ResponsePhase, RouteFact};
use crate::environment::headers::HeaderMap;
use crate::environment::{Clock, Environment};
use crate::fallback::FAILOVER;
use crate::request::local_reply;
use crate::response_facts;
use crate::retry::attempts::{AttemptFailure, AttemptResponse, Attempts, Denial, Flags};
use crate::telemetry::InternalEvent;
use crate::text;
use crate::time::{Span, Timestamp};
use crate::worker::Worker;
use state::{ATTEMPT, NO_RETRY, VETO, VOTE};

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not ours, or over.
    Outside,
    /// Its request would have gone to another cluster than it was sent to; a local reply is on its way.
    Misrouted,
    /// A hedge that waits until the one beside it has ended; the worker knows whether it still does.
    Parked,
    /// It was sent, and no response came yet.
    Waiting,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    context: u32,
    number: u8,
    stage: Stage,
    /// Whether another may run beside it, so that its end must be known.
    hedged: bool,
    /// When it started, where the end of its own time may have to be told from other ends.
    began: Option<Timestamp>,
}

impl Attempt {
    /// Attempt `number`, counted from 1, of this stream.
    pub(crate) fn new(context: u32, number: u64) -> Self {
        Self {
            context,
            number: u8::try_from(number).unwrap_or(u8::MAX),
            stage: Stage::Outside,
            hedged: false,
            began: None,
        }
    }

    /// It is about to be sent.
    pub(crate) fn request_headers<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        out: &mut Effects,
    ) -> Action {
        let first = self.number <= 1;
        if !first {
            worker.write_kept(self.context);
        }
        let reads = !first || worker.reads_first();
        let known = reads.then(|| worker.read_attempts(facts)).flatten();
        let Some(known) = known else {
            if first && worker.begins_unread() {
                // Of a request that is kept in this VM, or not ours: that shows if it fails.
                self.stage = Stage::Waiting;
                self.began = worker.attempt_begins();
            }
            return Action::Continue;
        };
        if known.flags.has(Flags::ELSEWHERE) {
            out.remove_request_header(FAILOVER.as_bytes());
            let went = facts.text(RouteFact::Cluster);
            if went.is_some_and(|went| went != known.cluster) {
                self.stage = Stage::Misrouted;
                out.reply(local_reply::misrouted());
                return Action::Pause;
            }
        }
        self.start(worker, facts, known, out)
    }

    /// Whether the host took a local reply. Where it did not, the attempt goes.
    pub(crate) fn replied<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        accepted: bool,
        out: &mut Effects,
    ) -> Action {
        let misrouted = self.stage == Stage::Misrouted;
        if accepted || !misrouted {
            if misrouted {
                self.stage = Stage::Outside;
                worker.count_event(InternalEvent::Misrouted);
            }
            return match accepted {
                true => Action::Pause,
                false => Action::Continue,
            };
        }
        self.stage = Stage::Outside;
        match worker.read_attempts(facts) {
            Some(known) => self.start(worker, facts, known, out),
            None => Action::Continue,
        }
    }

    /// It starts, if it may.
    fn start<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        mut known: Attempts,
        out: &mut Effects,
    ) -> Action {
        if self.number > 1 {
            worker.send_time_left(&known, facts, out);
        }
        if known.flags.has(Flags::ROUTES) {
            return Action::Continue;
        }
        self.stage = Stage::Waiting;
        self.hedged = known.flags.has(Flags::HEDGED);
        self.began = worker.attempt_begins();
        if self.number <= 1 {
            if !known.flags.has(Flags::MARKED | Flags::DEPOSITED) {
                worker.deposit(&known);
            }
            let asked = known.flags.has(Flags::ASKED);
            if asked || self.hedged {
                known.flags.set(Flags::SEEN);
                self.starts(&mut known, out);
            }
            if known.flags.has(Flags::MARKED) {
                self.mark(out);
            }
            return Action::Continue;
        }
        known.flags.set(Flags::SEEN);
        if known.paid < self.number {
            match worker.pay_for_start(&known, self.number) {
                Ok(()) => known.paid = self.number,
                Err(_) if known.flags.has(Flags::SHADOW) => {}
                Err(denial) => return self.refuse(worker, &mut known, denial, out),
            }
        }
        self.starts(&mut known, out);
        self.mark(out);
        Action::Continue
    }

    /// Its response is there: votes on it. Never stops it, since going on into a retry kills the VM.
    pub(crate) fn response_headers<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        out: &mut Effects,
    ) {
        if self.stage == Stage::Outside {
            return;
        }
        self.stage = Stage::Outside;
        let pairs = facts.headers();
        // An upstream that sends it by itself would retry without paying.
        if pairs.value(VOTE).is_some() {
            out.remove_response_header(VOTE.as_bytes());
        }
        let answer = judged(&worker.env, &pairs);
        if answer.status < 400 && answer.grpc.is_none_or(|status| status == 0) {
            return;
        }
        worker.write_kept(self.context);
        let known = worker.read_attempts(facts);
        let Some(mut known) = known.filter(|known| !known.flags.has(Flags::SHADOW)) else {
            return;
        };
        known.flags.set(Flags::SEEN);
        let next = self.number.saturating_add(1);
        if worker.vote(&known, self.number, &answer).is_ok() {
            known.paid = next;
            out.set_response_header(VOTE, "1");
        } else if pairs.value(VETO).is_none() {
            known.flags.set(Flags::VETOED);
            out.set_response_header(VETO, "true");
        }
        state::store(&known, out);
    }

    /// It is over.
    pub(crate) fn done<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        out: &mut Effects,
    ) {
        let stage = std::mem::replace(&mut self.stage, Stage::Outside);
        if stage == Stage::Parked && worker.unpark(self.context) {
            return;
        }
        let unanswered = stage != Stage::Outside;
        if !unanswered && !self.hedged {
            return;
        }
        worker.write_kept(self.context);
        let Some(mut known) = worker.read_attempts(facts) else {
            return;
        };
        let due = self.due(worker, &known);
        let safe = known.flags.has(Flags::SAFE);
        let death = match unanswered.then(|| failure_of(facts)) {
            Some(AttemptFailure::None) if due.is_some_and(|due| worker.env.now() >= due) => {
                AttemptFailure::Timeout
            }
            // Where the limit would have shown, it was the connection. What is not safe to repeat is repeated by the
            // router where nothing was done yet, which looks the same from here.
            Some(AttemptFailure::None) if due.is_some() && safe => AttemptFailure::Reset,
            Some(known) => known,
            None => AttemptFailure::None,
        };
        known.flags.set(Flags::SEEN);
        if death != AttemptFailure::None {
            known.death = death;
        }
        known.live = known.live.saturating_sub(u8::from(self.hedged));
        state::store(&known, out);
    }

    /// From when on its end is taken for that of its limit, if it has one. Envoy flags that on the attempt's own record, which no filter
    /// sees.
    fn due<E: Environment>(&self, worker: &Worker<E>, known: &Attempts) -> Option<Timestamp> {
        let limit = worker.per_try(known)?;
        Some(self.began?.after(earliest(limit)))
    }

    fn starts(&self, known: &mut Attempts, out: &mut Effects) {
        known.started = known.started.max(self.number);
        known.live = known.live.saturating_add(1);
        state::store(known, out);
    }

    /// Those behind are told that it is a retry.
    fn mark(&self, out: &mut Effects) {
        out.set_request_header(ATTEMPT, text::written(u64::from(self.number.max(2))));
    }

    fn refuse<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        known: &mut Attempts,
        denial: Denial,
        out: &mut Effects,
    ) -> Action {
        if known.flags.has(Flags::HEDGED) && known.live > 0 {
            known.started = known.started.max(self.number);
            state::store(known, out);
            self.stage = Stage::Parked;
            if !worker.park(self.context) {
                // More wait here than any request reserved a place for. It is not sent, and a reply would end the
                // attempt beside it: it stays until its request ends.
                self.stage = Stage::Outside;
                self.hedged = false;
            }
            return Action::Pause;
        }
        known.flags.set(Flags::REFUSED);
        state::store(known, out);
        self.stage = Stage::Outside;
        out.reply(local_reply::retry_refused(known.death, denial));
        Action::Pause
    }
}

/// What becomes of a hedge that waits, seen from a tick: it goes or is answered once nothing runs beside it any more. The
/// body applies the effects on the hedge's own stream.
pub(crate) fn leave_parking<E: Environment>(
    worker: &mut Worker<E>,
    context: u32,
    (facts, request): (&E::Response, &E::Request),
    out: &mut Effects,
) {
    let Some(mut known) = worker.read_attempts(facts) else {
        return out.push(Effect::Resume);
    };
    if known.live > 0 {
        return worker.stays_parked(context);
    }
    match worker.pay_for_start(&known, known.started) {
        Ok(()) => {
            worker.send_time_left(&known, request, out);
            known.paid = known.paid.max(known.started);
            known.live = 1;
            state::store(&known, out);
            out.push(Effect::Resume);
        }
        Err(denial) => {
            known.flags.set(Flags::REFUSED);
            state::store(&known, out);
            out.reply(local_reply::retry_refused(known.death, denial));
        }
    }
}

/// How long an attempt at least takes that its limit ends. Envoy's timers count from the start of a turn of its event loop,
/// which on a busy worker lies well before the attempt, and so end it early by our clock.
fn earliest(limit: Span) -> Span {
    Span::nanos(limit.as_nanos().saturating_sub(limit.as_nanos() >> 2))
}

/// What an answer says about trying again.
fn judged(clock: &impl Clock, pairs: &impl HeaderMap) -> AttemptResponse {
    let pushback = pairs.value("grpc-retry-pushback-ms").is_some();
    // What cannot be read was written by one who wants to be left alone.
    let later = pairs
        .value("retry-after")
        .map(|after| response_facts::later(clock, after));
    let later = later.is_some_and(|time| time != Some(Span::ZERO));
    let told = pairs.value(NO_RETRY).is_some() || pairs.value(VETO).is_some();
    AttemptResponse {
        status: pairs.number(":status").unwrap_or(0),
        grpc: pairs.number("grpc-status"),
        unwilling: pushback || later || told,
    }
}

/// What an attempt without an answer died of.
fn failure_of(facts: &impl ResponsePhase) -> AttemptFailure {
    use crate::outcome::flag;
    let flags = facts.number(ResponseFact::Flags).unwrap_or(0);
    if flags & flag::UPSTREAM_CONNECT != 0
        || facts
            .bytes(ResponseFact::TransportFailure)
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
