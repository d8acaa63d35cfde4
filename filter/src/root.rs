//! The root: takes a configuration whole or refuses it whole, and ticks.

use std::cell::RefCell;
use std::rc::Rc;

use seawall_policy::config;

use crate::host::plugin;
use crate::stream::Stream;
use crate::worker::{TICK_MILLIS, Worker};

/// One root: one configuration in one VM.
#[derive(Debug, Default)]
pub(crate) struct Root {
    worker: Rc<RefCell<Option<Worker>>>,
}

impl Root {
    /// Takes a configuration. `false` makes Envoy refuse it and keep the one it has. Runs in canary VMs too: writes
    /// nothing.
    pub(crate) fn configure(&mut self) -> bool {
        let routing = match config::parse(&plugin::configuration()) {
            Ok(routing) => routing,
            Err(error) => {
                log::error!("seawall: configuration refused: {error}");
                return false;
            }
        };
        // Streams of an earlier configuration keep their worker, whose numbers mean something else.
        self.worker = Rc::new(RefCell::new(Some(Worker::new(routing))));
        plugin::set_tick_period(TICK_MILLIS)
    }

    /// What is done every half second, and more often while something waits.
    pub(crate) fn tick(&self) {
        if let Ok(mut worker) = self.worker.try_borrow_mut()
            && let Some(worker) = worker.as_mut()
        {
            worker.tick();
        }
    }

    /// It goes: what it has counted and owes does not go with it.
    pub(crate) fn done(&self) {
        if let Ok(mut worker) = self.worker.try_borrow_mut()
            && let Some(worker) = worker.as_mut()
        {
            worker.done();
        }
    }

    /// The answer to a request of our own is there.
    pub(crate) fn called(&self, call: u32) {
        if let Ok(mut worker) = self.worker.try_borrow_mut()
            && let Some(worker) = worker.as_mut()
        {
            worker.called(call);
        }
    }

    /// A stream of this root.
    pub(crate) fn stream(&self) -> Stream {
        Stream::new(Rc::clone(&self.worker))
    }
}
