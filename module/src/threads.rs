//! The threads of the process.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::configuration::Number;
use crate::environment::HealthCheck;
use crate::thread::Thread;

static THREADS: Mutex<Vec<Arc<Thread>>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Arc<Thread>>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static HERE: OnceCell<Arc<Thread>> = const { OnceCell::new() };
}

/// The thread that this is called on, known to the process from now on.
pub(crate) fn here() -> Arc<Thread> {
    HERE.with(|here| {
        Arc::clone(here.get_or_init(|| {
            let new = Arc::new(Thread::new());
            known().push(Arc::clone(&new));
            new
        }))
    })
}

/// All threads, and those that have ended since: nobody else has them any more.
fn threads() -> (Vec<Arc<Thread>>, Vec<Arc<Thread>>) {
    let mut known = known();
    let is_over = |thread: &Arc<Thread>| Arc::strong_count(thread) == 1;
    let over = known.extract_if(.., |thread| is_over(thread)).collect();
    (known.clone(), over)
}

/// What the main thread finds where it comes by.
#[derive(Debug)]
pub(crate) struct Visit {
    /// Where it was.
    pub(crate) thread: Arc<Thread>,
    /// How often it is wanted there, in milliseconds.
    pub(crate) period: u32,
    /// What is to be sent for it.
    pub(crate) health_checks: Vec<(Number, HealthCheck)>,
}

/// The main thread comes by at each thread.
pub(crate) fn come_by() -> Vec<Visit> {
    let (threads, over) = threads();
    for thread in over {
        thread.lock().forget_all();
    }
    threads
        .into_iter()
        .map(|thread| {
            let mut inside = thread.lock();
            let health_checks = inside.come_by().health_checks;
            let period = inside.period();
            drop(inside);
            Visit {
                thread,
                period,
                health_checks,
            }
        })
        .collect()
}

/// No place has this configuration any more.
pub(crate) fn forget(number: Number) {
    let threads = known().clone();
    for thread in threads {
        thread.lock().forget(number);
    }
}
