//! What a worker has to say on the state page, and what it does where an operator asks it to.

use seawall_page::{Action, Answer, Call, Order, Page, Problem, Viewer, forced, refused};

use super::bounds::counts_all;
use super::step_reports::note;
use super::upstreams::{AUTHORITY, LONG, Name, Position, Upstream};
use super::{AdmissionInput, Worker, upstream_of};
use crate::admission;
use crate::authority;
use crate::breaker::{FORCED_FOR_MAX, Force, Forced, Mode};
use crate::environment::Environment;
use crate::environment::facts::RequestPhase;
use crate::environment::headers::HeaderMap;
use crate::request::state_page::{Peer, is_there};
use crate::shared::authorities;
use crate::shared::keys;
use crate::state_page::permission::{self, Standing};
use crate::state_page::{self, PendingWork};
use crate::telemetry::InternalEvent;
use crate::time::{Span, parse_duration};

/// Nobody forces an upstream for less.
const FORCED_FOR_MIN: Span = Span::secs(1);

impl<E: Environment> Worker<E> {
    /// What the page answers, if this request is for it, by somebody who may.
    pub(crate) fn page(
        &mut self,
        pairs: &impl HeaderMap,
        facts: &impl RequestPhase,
    ) -> Option<Answer> {
        let page = self.routing.page.as_ref();
        page.filter(|page| is_there(page, pairs))?;
        self.answer_page(pairs, facts)
    }

    #[cold]
    #[inline(never)]
    fn answer_page(&mut self, pairs: &impl HeaderMap, facts: &impl RequestPhase) -> Option<Answer> {
        let page = self.routing.page.as_ref()?;
        let call = Call::read(&mut pairs.iter());
        let exact = pairs.value(":path") == Some(page.path.as_bytes());
        let forces = call.method == b"POST" && !page.force.is_empty();
        if !forces && (call.method != b"GET" || !exact) {
            return None;
        }
        let peer = Peer::known(page, pairs, facts)?;
        if !forces {
            return Some(self.shown(&peer, call.html, None));
        }
        let path = page.path.clone();
        Some(match self.operate(&peer, &call) {
            Ok(_) if call.html => forced(&path),
            Ok(number) => self.shown(&peer, false, Some(number)),
            Err(problem) => {
                self.own.count(InternalEvent::ForceRefused(problem.name()));
                refused(problem, call.html, &path)
            }
        })
    }

    /// The page: of all upstreams, or of one.
    fn shown(&mut self, peer: &Peer, html: bool, only: Option<usize>) -> Answer {
        let viewer = Viewer {
            html,
            forces: peer.standing != Standing::Reader,
            token: self.token(peer),
        };
        let (_, moment) = self.moment();
        let pending = PendingWork {
            settlements: self.pending_settlements.len(),
            entries: self.unstored_entries.len(),
            places: self.unreturned_count(),
            parked: self.parked.len(),
        };
        let mut page = Page::new(&pending.row(), viewer);
        let mut omitted: usize = 0;
        for number in 0..self.upstreams.len() {
            if only.is_some_and(|only| only != number) {
                continue;
            }
            let Some(entry) = self.upstreams.entry(number) else {
                continue;
            };
            let Some(policy) = self.routing.policies.get(entry.policy) else {
                continue;
            };
            if !page.has_room() {
                omitted = omitted.saturating_add(1);
                continue;
            }
            // Where each value of a header has slots of its own, they stand under up to two thousand keys: not shown.
            let holdings = entry.holdings.as_ref().filter(|_| counts_all(policy));
            let upstream = state_page::UpstreamView {
                policy,
                cluster: &entry.cluster,
                part: entry.part(),
                key: entry.key.as_ref(),
                places: holdings.map(|holdings| &holdings.key),
                position: position(entry),
            };
            page.add(&state_page::row(&self.env, &upstream, moment));
        }
        page.end(omitted)
    }

    /// The token that this peer has to send, where it is known by its address.
    fn token(&self, peer: &Peer) -> Option<String> {
        let key = match peer.standing {
            Standing::Address => self.vm.process_key(&self.env),
            Standing::Reader | Standing::Identity => None,
        };
        key.map(|key| permission::token(&key, &peer.name))
    }

    /// Does what an operator asks; the number of the upstream.
    fn operate(&mut self, peer: &Peer, call: &Call<'_>) -> Result<usize, Problem> {
        // Who may not in any case learns nothing of what would be right.
        permission::may_force(peer.standing, call.site, true)?;
        let order = Order::read(call.query.unwrap_or_default())?;
        let token = self.token(peer);
        let same = token.is_some_and(|token| permission::is_same(&token, &order.token));
        permission::may_force(peer.standing, call.site, same)?;
        let lasts = match &order.lasts {
            Some(lasts) => parse_duration(lasts).map_err(|_| Problem::Time)?,
            None => FORCED_FOR_MIN,
        };
        if !(FORCED_FOR_MIN..=FORCED_FOR_MAX).contains(&lasts) {
            return Err(Problem::Time);
        }
        let number = self.ordered(&order)?;
        let (now, moment) = self.moment();
        let entry = self.upstreams.entry(number).ok_or(Problem::Upstream)?;
        let policy = self.routing.policies.get(entry.policy);
        let policy = policy.ok_or(Problem::Policy)?;
        let governed = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let force = match order.action {
            Action::Open => Some(Force::Open),
            Action::Closed => Some(Force::Closed),
            Action::Release | Action::Reset => None,
        };
        let forced = force.map(|force| Forced::new(force, lasts, &peer.name, now));
        let report = match order.action {
            Action::Reset => admission::reset(&self.env, &governed, moment),
            _ => admission::force(&self.env, &governed, forced.as_ref(), moment),
        };
        note(&self.env, entry, &mut self.own, &report);
        if !report.is_committed() {
            return Err(Problem::Unstored);
        }
        let lasts = force.map(|_| lasts);
        entry
            .series
            .operated(&self.env, order.action.name(), lasts, &peer.name);
        Ok(number)
    }

    /// The number of the upstream that an order names: one that this process has a state for.
    fn ordered(&mut self, order: &Order) -> Result<usize, Problem> {
        let (selected, unknown) = self.selected(&order.upstream, Some(&order.policy));
        if unknown {
            return Err(Problem::Policy);
        }
        let selected = selected.ok_or(Problem::Upstream)?;
        let policy = self.routing.policies.get(selected.policy);
        let policy = policy.ok_or(Problem::Policy)?;
        if policy.breaker.mode == Mode::Off {
            return Err(Problem::Off);
        }
        let part = match (&order.route, &order.authority) {
            (Some(route), None) if selected.by_route && selected.by_authority.is_none() => {
                Some(("route", route.clone()))
            }
            (None, Some(authority)) if selected.by_authority.is_some() => {
                let whole = authority::canonical(authority.as_bytes());
                let name = Some(LONG.to_owned())
                    .filter(|long| long == authority)
                    .or(whole);
                Some((AUTHORITY, name.ok_or(Problem::Upstream)?))
            }
            // A request without a route has the cluster's own state.
            (None, None) if selected.by_authority.is_none() => None,
            _ => return Err(Problem::Part),
        };
        let name = Name {
            policy: selected.policy,
            scope: &policy.name,
            cluster: &order.upstream,
            part: part.as_ref().map(|(kind, part)| (*kind, part.as_str())),
        };
        if !self.is_known(&name) {
            return Err(Problem::Upstream);
        }
        let asking = AdmissionInput::naming(selected, order.upstream.clone(), part);
        let number = self.upstream(&asking).ok_or(Problem::Upstream)?;
        let entry = self.upstreams.entry(number);
        match entry.is_some_and(|entry| entry.key.is_some()) {
            true => Ok(number),
            false => Err(Problem::Upstream),
        }
    }

    /// Whether the process has a state for an upstream, whichever worker met it: what is misspelt gets none by an order.
    fn is_known(&self, name: &Name<'_>) -> bool {
        if let Some(authority) = name.authority() {
            let directory = keys::authorities(name.scope, name.cluster);
            let key = self.vm.process_key(&self.env);
            let id = key.map(|key| key.hash64(AUTHORITY, &[authority.as_bytes()]));
            return id.is_some_and(|id| authorities::has(&self.env, &directory, id));
        }
        let stored = name.key().map(|key| self.env.view(&key));
        // What cannot be read may be there: the step says why it is not done.
        stored.is_some_and(|stored| stored.map_or(true, |stored| !stored.is_absent()))
    }
}

const fn position(upstream: &Upstream) -> &'static str {
    match upstream.position {
        Position::Unknown => "unknown",
        Position::Present => "present",
        Position::Absent => "absent",
    }
}
