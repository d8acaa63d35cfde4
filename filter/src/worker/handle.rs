//! How a stream reaches its worker.

use std::cell::RefCell;
use std::rc::Rc;

use super::Worker;

/// A worker, where its root has taken a configuration.
pub(crate) type SharedWorker = Rc<RefCell<Option<Worker>>>;

/// Runs something on the worker; nothing where there is none.
pub(crate) fn with<T>(
    worker: &SharedWorker,
    run: impl FnOnce(&mut Worker) -> Option<T>,
) -> Option<T> {
    run(worker.try_borrow_mut().ok()?.as_mut()?)
}
