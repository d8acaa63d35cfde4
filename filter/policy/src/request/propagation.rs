//! What came with a request besides its headers' plain sense: how much time it has, and the marks of those before us.
//!
//! Marks are believed only from peers that the configuration trusts. The inbound side of a sidecar keeps them for its
//! outbound side, across an application that copies no more than an id.

use std::cell::Cell;

use crate::deadline::{DeadlineInputs, Form, Limit};
use crate::policy::Policy;
use crate::priority::{Priority, Settings};
use crate::propagation::{HintSlot, Hints, JoinedHints, trace};
use crate::shared::state::{Change, SharedState};
use crate::time::{Span, Timestamp, parse_duration};
use crate::trust::{Forwarded, Trust};

use super::headers::RequestFacts;
use crate::attempt::state::ATTEMPT;
use crate::environment::effects::Effects;
use crate::environment::facts::{Facts, RequestPhase, RouteFact, StreamFact};
use crate::environment::headers::HeaderMap;
use crate::environment::{Clock, Environment};
use crate::response_facts::FactCache;
use crate::worker::Worker;

/// The header that says how important a request is.
pub(crate) const PRIORITY: &str = Settings::HEADER;

/// What came with a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct PropagatedContext {
    /// Whether the peer's marks are believed, where somebody asked already.
    trusted: Option<bool>,
    /// The same, where it was found out later: the host is asked once.
    found: Cell<Option<bool>>,
    /// Who forwarded it last, where anybody is believed.
    forwarded: Forwarded,
    /// The marks of those before us, of this request or of the one that caused it.
    pub(crate) marks: Hints,
    /// Where they are kept; nowhere where nobody is trusted.
    pub(crate) places: Vec<HintSlot>,
    /// In which of them it is told of, to be taken out at its end.
    joined: Vec<(usize, JoinedHints)>,
    /// By an inbound listener.
    pub(crate) inbound: bool,
}

impl PropagatedContext {
    /// Reads the marks.
    pub(crate) fn read<E: Environment>(
        worker: &Worker<E>,
        facts: &RequestFacts,
        pairs: &E::Headers,
        phase: &E::Request,
        inbound: bool,
    ) -> Self {
        let trust = worker.trust();
        if trust.is_empty() {
            return Self {
                trusted: Some(false),
                found: Cell::new(Some(false)),
                inbound,
                ..Self::default()
            };
        }
        // Outbound, a request without marks asks for no trust; its answer may.
        let forwarded = forwarded(pairs);
        let trusted = (inbound || facts.own)
            .then(|| is_trusted(trust, &forwarded, phase, &mut FactCache::default()));
        let ids = [
            pairs.value("x-request-id"),
            pairs.value("traceparent").map(trace),
        ];
        let mut places = Vec::new();
        places.extend(ids.into_iter().flatten().filter_map(HintSlot::of));
        let mut marks = match inbound {
            true => Hints::default(),
            false => persisted(&worker.env, &places).unwrap_or_default(),
        };
        if trusted == Some(true) && facts.own {
            marks.retry |= pairs.value(ATTEMPT).is_some();
            let named = pairs.value(PRIORITY).and_then(Priority::named);
            marks.priority = named.map(Priority::rank).or(marks.priority);
        }
        Self {
            trusted,
            found: Cell::new(trusted),
            forwarded,
            marks,
            places,
            joined: Vec::new(),
            inbound,
        }
    }

    /// How important the request is, where the policy asks; it is told to those who come after, unless it is only what
    /// they would take it for. What a trusted Seawall made of the request counts before what its own client said, and a
    /// header of the configuration's goes on with what was made of it: those who come after trust us, not who wrote it.
    pub(crate) fn priority<E: Environment>(
        &mut self,
        worker: &Worker<E>,
        settings: &Settings,
        pairs: &E::Headers,
        phase: &E::Request,
        out: &mut Effects,
    ) -> Priority {
        let named = |header: &str| pairs.value(header).and_then(Priority::named);
        let said = named(&settings.header);
        let trusted = said.is_some() && self.is_trusted(worker, phase);
        let counts = match trusted {
            true => named(PRIORITY).or(said),
            false => said,
        };
        let kept = self.marks.priority.map(Priority::of_rank);
        let route = match counts.filter(|_| trusted).or(kept) {
            Some(_) => None,
            None => phase.bytes(RouteFact::Priority),
        };
        let route = route.and_then(|name| Priority::named(&name));
        let level = settings.level(counts, trusted, kept, route);
        if counts.or(kept).or(route).is_some() || level != Settings::default().default {
            self.marks.priority = Some(level.rank());
        }
        let ours = settings.header == PRIORITY;
        if said.is_some_and(|said| !ours && (!trusted || said != level)) {
            out.set_request_header(settings.header.clone(), level.name());
        }
        level
    }

    /// How much time the request has.
    pub(crate) fn limit(
        &self,
        policy: &Policy,
        facts: &RequestFacts,
        pairs: &impl HeaderMap,
        (phase, clock): (&impl RequestPhase, &impl Clock),
        adaptive: Option<Span>,
    ) -> Limit {
        let forms = policy.time.propagate.iter();
        // A proxy before us writes its route's limit on every request, on those too that it lets run without one.
        let came = forms.filter(|form| match form {
            _ if facts.endless => false,
            Form::Grpc => facts.grpc,
            Form::Expected => facts.expected,
            Form::Header(_) => true,
        });
        let incoming = came.filter_map(|form| form.least(pairs.iter())).min();
        let spent = incoming
            .and_then(|_| phase.number(RouteFact::ArrivedAt))
            .map_or(Span::ZERO, |at| clock.since_wall(at));
        let kept = self.marks.deadline.map(|at| at.since(clock.now()));
        let mut asked = DeadlineInputs {
            incoming,
            spent,
            kept,
            route: None,
            // What latency suggests has nothing to do with how long such a request waits.
            adaptive: adaptive.filter(|_| !facts.long_poll),
            open_ended: facts.open_ended,
        };
        if policy.time.resolve(&asked) != Limit::None {
            asked.route = route_limit(phase);
        }
        policy.time.resolve(&asked)
    }

    /// Keeps for the outbound side what it should know; of a request whose peer is not believed only that it is there.
    pub(crate) fn persist(
        &mut self,
        env: &(impl SharedState + Clock),
        deadline: Option<Timestamp>,
    ) {
        if !self.inbound || self.places.is_empty() {
            return;
        }
        let kept = Hints {
            deadline,
            failed_below: false,
            ..self.marks
        };
        let brought = self.was_trusted().then_some(kept);
        let now = env.now();
        for (number, place) in self.places.iter().enumerate() {
            let mut joined = None;
            let stored = env.update(&place.key, |stored| {
                let entered = place.enter(&mut stored.record, brought, now);
                joined = entered.map(|entered| (number, entered));
                Change::stored_if(joined.is_some())
            });
            self.joined.extend(joined.filter(|_| stored == Ok(true)));
        }
    }

    /// The request ends.
    pub(crate) fn withdraw(&mut self, env: &(impl SharedState + Clock)) {
        if self.joined.is_empty() {
            return;
        }
        let now = env.now();
        for (number, joined) in std::mem::take(&mut self.joined) {
            if let Some(place) = self.places.get(number) {
                let _ = env.update(&place.key, |stored| {
                    Change::stored_if(place.leave(&mut stored.record, joined, now))
                });
            }
        }
    }

    /// Keeps for the inbound side that something below failed. What a lost race or a host that does not answer leaves
    /// unkept is only not known.
    pub(crate) fn persist_failure(&self, env: &(impl SharedState + Clock)) {
        if self.inbound || self.places.is_empty() {
            return;
        }
        let now = env.now();
        for place in &self.places {
            let _ = env.update(&place.key, |stored| {
                Change::stored_if(place.fail(&mut stored.record, now))
            });
        }
    }

    /// Whether something below failed while this request was in its application.
    pub(crate) fn failed_below(&self, env: &(impl SharedState + Clock)) -> bool {
        self.inbound && persisted(env, &self.places).is_some_and(|kept| kept.failed_below)
    }

    /// Whether the peer was asked about and is believed.
    pub(crate) fn was_trusted(&self) -> bool {
        self.trusted == Some(true)
    }

    /// Whether the peer is believed.
    pub(crate) fn is_trusted<E: Environment>(
        &self,
        worker: &Worker<E>,
        facts: &impl Facts<StreamFact>,
    ) -> bool {
        self.is_trusted_as_asked(worker, facts, &mut FactCache::default())
    }

    /// The same, of which some may have been asked before in this callback.
    pub(crate) fn is_trusted_as_asked<E: Environment>(
        &self,
        worker: &Worker<E>,
        facts: &impl Facts<StreamFact>,
        asked: &mut FactCache,
    ) -> bool {
        let ask = || is_trusted(worker.trust(), &self.forwarded, facts, asked);
        let found = self.found.get().unwrap_or_else(ask);
        self.found.set(Some(found));
        found
    }
}

/// What is kept of a request, under the first of its ids that is known.
fn persisted(env: &(impl SharedState + Clock), places: &[HintSlot]) -> Option<Hints> {
    let now = env.now();
    places.iter().find_map(|place| {
        let stored = env.view(&place.key).ok()?;
        place.read(stored.record.as_ref(), now)
    })
}

/// Who forwarded a request last.
pub(crate) fn forwarded(pairs: &impl HeaderMap) -> Forwarded {
    let mut forwarded = Forwarded::default();
    let lines = pairs
        .iter()
        .filter(|(key, _)| *key == Forwarded::HEADER.as_bytes());
    lines.for_each(|(_, value)| forwarded.line(value));
    forwarded
}

/// Whether the peer of the stream at work is believed.
pub(crate) fn is_trusted(
    trust: &Trust,
    forwarded: &Forwarded,
    facts: &impl Facts<StreamFact>,
    asked: &mut FactCache,
) -> bool {
    asked
        .peer(facts)
        .is_some_and(|peer| trust.reaches(peer, forwarded))
        || facts
            .text(StreamFact::PeerUriSan)
            .is_some_and(|peer| trust.knows(&peer))
}

/// The route's own limit, as far as its metadata repeats it.
fn route_limit(phase: &impl RequestPhase) -> Option<Span> {
    let text = phase.text(RouteFact::Timeout)?;
    parse_duration(&text)
        .ok()
        .filter(|limit| *limit > Span::ZERO)
}
