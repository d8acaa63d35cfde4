//! What a worker does as a member of the process: it lists itself before it takes leases, gives signs of life, and watches the
//! other VMs.

use crate::environment::Environment;
use crate::policy::Policy;
use crate::shared::instance;
use crate::shared::keys;
use crate::shared::leases::LocalLease;
use crate::shared::members::view::MembersView;
use crate::time::Timestamp;

use super::Worker;
use super::local_leases::LocalHoldings;
use super::step_reports::note_undecided;
use crate::telemetry::InternalEvent;

/// Whether this VM is among the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// It is: it may take leases.
    Listed,
    /// There is no room for it: it takes none.
    Crowded,
    /// The list could not be read or written.
    Unknown,
}

/// This VM and the others.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) view: MembersView,
    /// Whether any policy has leases: only then the others are worth a look.
    watches: bool,
    /// Whether any policy has slots.
    pub(super) counts_slots: bool,
    /// What came of the last attempt to be listed; it is tried again after the next tick.
    tried: Option<Listing>,
}

impl Membership {
    /// A VM that holds nothing yet.
    pub(super) fn new(draw: u64, policies: &[Policy]) -> Self {
        let counts_slots = policies.iter().any(Policy::counts_slots);
        let mut policies = policies.iter();
        Self {
            view: MembersView::new(instance::vm(draw)),
            watches: counts_slots || policies.any(|policy| policy.breaker.mode.counts()),
            counts_slots,
            tried: None,
        }
    }
}

/// How far the looks at keys with slots have come.
#[derive(Debug)]
pub(super) struct Looks {
    /// The upstream that is looked at next.
    pub(super) next: usize,
    /// How many keys this round has looked at, and since when it goes on.
    pub(super) done: u32,
    pub(super) begun: Timestamp,
    /// Whether somebody died, so that the round goes on in quicker ticks until it is through.
    pub(super) hurries: bool,
}

impl Looks {
    /// A round begins.
    pub(super) const fn begun(now: Timestamp) -> Self {
        Self {
            next: 0,
            done: 0,
            begun: now,
            hurries: false,
        }
    }
}

impl<E: Environment> Worker<E> {
    /// Sees to it that this VM is listed before it takes a lease: what it holds comes back when it dies. Nothing is asked of the
    /// host if it is listed and gave a sign of life a short time ago.
    pub(super) fn enroll(&mut self, now: Timestamp) -> Listing {
        if self.liveness.view.may_take(now) {
            return Listing::Listed;
        }
        let listing = self
            .liveness
            .tried
            .unwrap_or_else(|| self.try_to_enroll(now));
        match listing {
            Listing::Listed => {}
            Listing::Crowded => self.own.count(InternalEvent::Crowded),
            Listing::Unknown => self.own.count(InternalEvent::UndecidedHost),
        }
        listing
    }

    #[cold]
    fn try_to_enroll(&mut self, now: Timestamp) -> Listing {
        // A VM that was given up is listed anew, under another number.
        for _ in 0..2 {
            let listing = match self.liveness.view.enroll(&self.env, &keys::MEMBERS, now) {
                Ok(sight) if sight.given_up => {
                    self.begin_anew();
                    continue;
                }
                Ok(sight) if sight.crowded => Listing::Crowded,
                Ok(_) => return Listing::Listed,
                Err(undecided) => {
                    note_undecided(&mut self.own, Some(&undecided));
                    Listing::Unknown
                }
            };
            self.liveness.tried = Some(listing);
            return listing;
        }
        Listing::Unknown
    }

    /// A tick: a sign of life, by which this VM is listed for the leases that it may take after its first request, and a look at
    /// the others.
    pub(super) fn look_at_members(&mut self, on_time: bool, now: Timestamp) {
        if !self.liveness.watches {
            return;
        }
        self.liveness.tried = None;
        // Before its first request it takes no lease: who is idle writes nothing.
        if !self.liveness.view.is_listed() && self.upstreams.len() > 0 {
            self.try_to_enroll(now);
        }
        match self
            .liveness
            .view
            .look(&self.env, &keys::MEMBERS, on_time, now)
        {
            Ok(sight) if sight.given_up => {
                self.begin_anew();
                self.try_to_enroll(now);
            }
            Ok(sight) if sight.crowded => self.own.count(InternalEvent::Crowded),
            Ok(_) => {}
            Err(undecided) => note_undecided(&mut self.own, Some(&undecided)),
        }
        let looks = self.liveness.counts_slots && self.upstreams.len() > 0;
        if self.liveness.view.has_died() && looks {
            self.each_holdings(LocalHoldings::restart_round);
            self.looks = Looks::begun(self.looks.begun);
            self.looks.hurries = true;
            self.tick_often();
        }
    }

    /// This VM was given up for dead: what it held is void, and it takes another number.
    fn begin_anew(&mut self) {
        self.own.count(InternalEvent::Expired);
        let vm = instance::vm(self.draws.next_u64());
        self.liveness.view.begin_anew(vm);
        for number in 0..self.upstreams.len() {
            if let Some(entry) = self.upstreams.entry(number) {
                entry.holding = LocalLease::none(vm);
            }
        }
        self.each_holdings(|holdings| holdings.reset_all(vm));
    }

    fn each_holdings(&mut self, change: impl Fn(&mut LocalHoldings)) {
        for number in 0..self.upstreams.len() {
            let entry = self.upstreams.entry(number);
            if let Some(holdings) = entry.and_then(|entry| entry.holdings.as_mut()) {
                change(holdings);
            }
        }
    }
}
