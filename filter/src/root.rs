//! The root: takes a configuration whole or refuses it whole, and ticks.

use std::cell::RefCell;
use std::rc::Rc;

use seawall_policy::environment::effects::Effects;
use seawall_policy::environment::{Environment, Timer};
use seawall_policy::position::FilterPosition;
use seawall_policy::stream::look_at_parked;
use seawall_policy::worker::{TICK_MILLIS, Vm, Worker};

use crate::body::{AtRequest, Wasm, apply};
use crate::host::{calls, plugin};
use crate::stream::HttpStream;
use crate::worker::{SharedWorker, with};

/// One root: one configuration in one VM.
#[derive(Debug)]
pub(crate) struct Root {
    vm: Rc<Vm>,
    worker: SharedWorker,
}

impl Root {
    /// A root of this VM, without a configuration.
    pub(crate) fn new(vm: Rc<Vm>) -> Self {
        Self {
            vm,
            worker: SharedWorker::default(),
        }
    }

    /// Takes a configuration. `false` makes Envoy refuse it and keep the one it has. Runs in canary VMs too: writes
    /// nothing.
    pub(crate) fn configure(&mut self) -> bool {
        let routing = match seawall_config::parse(&plugin::configuration()) {
            Ok(routing) => routing,
            Err(error) => {
                log::error!("seawall: configuration refused: {error}");
                return false;
            }
        };
        // Streams of an earlier configuration keep their worker, whose numbers mean something else.
        let position = plugin::root_id().and_then(|id| FilterPosition::of_root(&id));
        let worker = Worker::new(Wasm, Rc::clone(&self.vm), routing).at(position);
        self.worker = Rc::new(RefCell::new(Some(worker)));
        Wasm.set_tick_period(TICK_MILLIS)
    }

    /// A tick. The hedges that wait come last: nothing can be done for the root once a stream was spoken for.
    pub(crate) fn tick(&self) {
        with(&self.worker, |worker| {
            worker.tick();
            for context in worker.parked() {
                let mut out = Effects::NONE;
                if let Some(facts) = worker.env().stream(context) {
                    look_at_parked(worker, context, (&facts, &AtRequest), &mut out);
                    apply(&mut out);
                }
            }
            worker.parked_seen();
        });
    }

    /// It goes: what it has counted and owes does not go with it.
    pub(crate) fn done(&self) {
        with(&self.worker, Worker::done);
    }

    /// The response to a request of Seawall's own is there.
    pub(crate) fn called(&self, call: u32) {
        with(&self.worker, |worker| worker.called(call, calls::status()));
    }

    /// A stream of this root.
    pub(crate) fn stream(&self, context: u32) -> HttpStream {
        HttpStream::new(Rc::clone(&self.worker), context)
    }
}
