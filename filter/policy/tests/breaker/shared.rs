//! Shared data as Envoy keeps it, for workers whose steps come in between each other's load and swap.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::record::Record;
use seawall_policy::shared::state::Key;
use seawall_policy::shared::store::{Found, HostError, SharedStore};

/// Where the one upstream's record stands.
pub(crate) static KEY: LazyLock<Key<Record>> =
    LazyLock::new(|| keys::record("default", "upstream", Part::Whole));

/// What another worker does before a swap.
type Intruder<'a> = Box<dyn FnOnce(&Shared<'a>) + 'a>;

/// One key. What stands in `between` is run before a swap, so that the swap is lost.
#[derive(Default)]
pub(crate) struct Shared<'a> {
    found: RefCell<Option<Found>>,
    counter: Cell<u32>,
    between: RefCell<Vec<Intruder<'a>>>,
    pub(crate) lost: Cell<u32>,
}

impl<'a> Shared<'a> {
    /// Runs this between somebody's next load and swap.
    pub(crate) fn intrude(&self, step: impl FnOnce(&Shared<'a>) + 'a) {
        self.between.borrow_mut().push(Box::new(step));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let found = self.found.borrow();
        found
            .as_ref()
            .map(|found| found.bytes.clone())
            .unwrap_or_default()
    }
}

impl SharedStore for Shared<'_> {
    fn load(&self, _: &str) -> Result<Option<Found>, HostError> {
        Ok(self.found.borrow().clone())
    }

    fn swap(&self, _: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        let step = self.between.borrow_mut().pop();
        if let Some(step) = step {
            step(self);
        }
        let mut found = self.found.borrow_mut();
        if found.as_ref().is_some_and(|found| found.cas != cas) {
            self.lost.set(self.lost.get() + 1);
            return Ok(false);
        }
        self.counter.set(self.counter.get() + 1);
        *found = Some(Found {
            bytes: bytes.to_vec(),
            cas: self.counter.get(),
        });
        Ok(true)
    }
}
