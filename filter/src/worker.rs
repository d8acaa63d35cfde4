//! How a root and its streams reach their worker.

use std::cell::RefCell;
use std::rc::Rc;

use seawall_policy::worker::Worker;

use crate::body::Wasm;

/// A worker, where its root has taken a configuration.
pub(crate) type SharedWorker = Rc<RefCell<Option<Worker<Wasm>>>>;

/// Runs something on the worker; nothing where there is none.
pub(crate) fn with<T>(
    worker: &SharedWorker,
    run: impl FnOnce(&mut Worker<Wasm>) -> T,
) -> Option<T> {
    worker.try_borrow_mut().ok()?.as_mut().map(run)
}
