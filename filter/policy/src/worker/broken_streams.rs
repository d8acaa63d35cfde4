//! Asks others about a stream that broke before its response began, and tells them of good responses. The rules are
//! `crate::outcome::broken_stream`.

use crate::breaker::Phase;
use crate::environment::Environment;
use crate::environment::facts::{Facts, ResponsePhase, StreamFact};
use crate::outcome::broken_stream::{self, BrokenStream, BrokenStreams};
use crate::outcome::end::Judgement;
use crate::outcome::peer::Peer;
use crate::outcome::{Ignored, Outcome, ResponseSource, blame};
use crate::shared::keys;
use crate::shared::state::{Change, Stored};
use crate::time::{Span, Timestamp};

use super::Worker;
use super::upstreams::BrokenStreamsView;
use crate::response_facts::{self, FactCache};

/// What all workers know is read no oftener than this, beside broken streams.
const LOOK: Span = Span::millis(350);

impl<E: Environment> Worker<E> {
    /// Whether a good response of this upstream may tell something: it sees trouble, or the broken streams of some upstream are
    /// watched, as far as is known here.
    pub(crate) fn looks_for_broken_streams(&mut self, upstream: usize, now: Timestamp) -> bool {
        let entry = self.upstreams.entry(upstream);
        now < self.broken_streams_until || entry.is_some_and(|entry| entry.sees_trouble())
    }

    /// The verdict on a request without a response, or at its headers. Where its stream broke, other peers may tell that it did
    /// for what its client sent; where that cannot be known it stays a failure. Others are told of a good response.
    #[cold]
    #[inline(never)]
    pub(crate) fn ask_other_peers(
        &mut self,
        number: usize,
        facts: &impl ResponsePhase,
        (judged, origin): (Judgement, ResponseSource),
        asked: &mut FactCache,
    ) -> Judgement {
        match (judged.outcome, origin) {
            (Outcome::Success, _) => {
                if let Some(upstream) = self.exchanges.get(number).map(|known| known.upstream) {
                    self.answered_well(upstream, facts, origin, asked);
                }
            }
            (Outcome::Failure, ResponseSource::Local { flags })
                if blame::is_broken(flags)
                    && self.is_break_of_client(number, facts, asked) == Some(true) =>
            {
                return Ignored::OnePeer.into();
            }
            _ => {}
        }
        judged
    }

    /// Whether a stream broke for what its client sent, as far as other peers tell; nothing where that cannot be known.
    pub(crate) fn is_break_of_client(
        &mut self,
        number: usize,
        facts: &impl Facts<StreamFact>,
        asked: &mut FactCache,
    ) -> Option<bool> {
        let now = self.env.now();
        let exchange = self.exchanges.get(number)?;
        let permit = exchange.permit?;
        let upstream = exchange.upstream;
        let entry = self.upstreams.entry(upstream)?;
        let stream = BrokenStream {
            peer: Peer::at(asked.peer(facts)?)?,
            generation: permit.generation,
            half_open: permit.probe.is_some() || entry.phase == Phase::HalfOpen,
        };
        let mut upstreams = true;
        self.step(upstream, now, &mut |streams| {
            let before = *streams;
            upstreams = streams.is_upstreams(stream, now);
            *streams != before
        })?;
        Some(!upstreams)
    }

    /// A good response of an upstream, while the streams of some are watched.
    fn answered_well(
        &mut self,
        upstream: usize,
        facts: &impl ResponsePhase,
        origin: ResponseSource,
        asked: &mut FactCache,
    ) {
        let now = self.env.now();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let watched = |view: &BrokenStreamsView| view.seen.is_watched(now);
        if entry.sees_trouble() && !entry.broken_streams.as_deref().is_some_and(watched) {
            self.look_for_broken_streams(upstream, now);
        }
        let entry = self.upstreams.entry(upstream);
        let Some(view) = entry.and_then(|entry| entry.broken_streams.as_deref_mut()) else {
            return;
        };
        if !watched(view) || now.since(view.told) < broken_stream::TELL {
            return;
        }
        let Some(peer) = asked
            .peer(facts)
            .and_then(Peer::at)
            .filter(|peer| view.seen.wants(*peer, now))
        else {
            return;
        };
        // A cache's response is none of the upstream's.
        if !response_facts::is_upstreams(facts, origin) {
            return;
        }
        view.told = now;
        self.step(upstream, now, &mut |streams| streams.answered(peer, now));
    }

    /// Looks whether other workers saw broken streams of an upstream, unless that was done a moment ago.
    pub(super) fn look_for_broken_streams(&mut self, upstream: usize, now: Timestamp) {
        let entry = self.upstreams.entry(upstream);
        let view = entry.and_then(|entry| entry.broken_streams.as_deref());
        if view.is_none_or(|view| now.since(view.looked) >= LOOK) {
            self.step(upstream, now, &mut |_| false);
        }
    }

    /// One step on what all workers know, which says whether it changed that; nothing where it cannot be taken.
    fn step(
        &mut self,
        upstream: usize,
        now: Timestamp,
        step: &mut dyn FnMut(&mut BrokenStreams) -> bool,
    ) -> Option<()> {
        let entry = self.upstreams.entry(upstream)?;
        let key = entry.key.as_ref().map(keys::broken_streams)?;
        let view = entry.broken_streams.get_or_insert_default();
        view.looked = now;
        let change = |stored: &mut Stored<BrokenStreams>| {
            let streams = stored.or_empty();
            let change = Change::stored_if(step(streams));
            view.seen = *streams;
            change
        };
        // Host errors are counted where they are seen. What was seen in a lost race does not stand.
        if !self.env.update(&key, change).ok()? {
            return None;
        }
        self.broken_streams_until = self.broken_streams_until.max(view.seen.watched_until());
        Some(())
    }
}
