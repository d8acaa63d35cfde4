//! Ticks: a thread of the module's own wakes Envoy's main thread, which comes by at every thread.
//!
//! Envoy gives HTTP filters no timer on a worker. A thread that has streams is woken by one of them and does its tick itself, since only there
//! may streams be asked. A thread without streams has its tick done by the main thread. Requests of our own are sent on the main thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use seawall_policy::environment::headers::decimal;

use crate::abi::{self, Config};
use crate::configuration::{self, Number};
use crate::environment::HealthCheck;
use crate::thread::Thread;
use crate::{period, threads};

/// The main thread is not woken again while it has not come, for so many periods.
const PATIENCE: u32 = 5;
/// The most requests of our own that wait to be sent, and that wait for their response.
const CHECKS_MAX: usize = 4_096;

/// For how many periods the main thread has not come.
static AWAITED: AtomicU32 = AtomicU32::new(0);

/// Whose request of our own it is.
type Caller = (Arc<Thread>, Number, u32);

static UNSENT: Mutex<Vec<(Arc<Thread>, Number, HealthCheck)>> = Mutex::new(Vec::new());
static SENT: Mutex<Option<HashMap<(usize, u64), Caller>>> = Mutex::new(None);

/// Held while Envoy sends a request for an instance, and while an instance goes.
static SENDING: Mutex<()> = Mutex::new(());

/// While this is held no request is being sent, and no instance goes.
pub(crate) fn no_sending() -> MutexGuard<'static, ()> {
    lock(&SENDING)
}

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the ticks of this process, once.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let named = thread::Builder::new().name("seawall-ticks".to_owned());
        if named.spawn(run).is_err() {
            log::error!(
                "seawall: no thread for ticks: what is timed happens only while requests pass"
            );
        }
    });
}

fn run() {
    loop {
        if period::passes()
            && AWAITED
                .fetch_add(1, Ordering::AcqRel)
                .is_multiple_of(PATIENCE)
        {
            configuration::wake_main();
        }
    }
}

/// The main thread was woken.
pub(crate) fn on_main() {
    AWAITED.store(0, Ordering::Release);
    let mut shortest = period::USUAL_MILLIS;
    for visit in threads::come_by() {
        shortest = shortest.min(visit.period);
        queue(&visit.thread, visit.health_checks);
    }
    period::set(shortest);
    send_queued();
}

/// Keeps what is to be sent until the main thread comes by.
pub(crate) fn queue(thread: &Arc<Thread>, checks: Vec<(Number, HealthCheck)>) {
    if checks.is_empty() {
        return;
    }
    let mut unsent = lock(&UNSENT);
    let mut dropped = Vec::new();
    for (number, check) in checks {
        match unsent.len() < CHECKS_MAX {
            true => unsent.push((Arc::clone(thread), number, check)),
            false => dropped.push((number, check.call)),
        }
    }
    drop(unsent);
    for (number, call) in dropped {
        thread.lock().called(number, call, None);
    }
}

fn send_queued() {
    let unsent = std::mem::take(&mut *lock(&UNSENT));
    for (thread, number, check) in unsent {
        let sending = no_sending();
        let sent = configuration::by_number(number)
            .and_then(|found| found.with_instance(|config| send(config, &check)));
        drop(sending);
        let caller = (Arc::clone(&thread), number, check.call);
        let mut waiting = lock(&SENT);
        let waiting = waiting.get_or_insert_default();
        match sent {
            Some(id) if waiting.len() < CHECKS_MAX => drop(waiting.insert(id, caller)),
            _ => thread.lock().called(number, check.call, None),
        }
    }
}

fn send(config: Config, check: &HealthCheck) -> Option<(usize, u64)> {
    let headers: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":path", check.path.as_bytes()),
        (b"host", check.authority.as_bytes()),
        (b"user-agent", b"seawall-probe"),
    ];
    let millis = check.timeout.as_millis().max(1);
    let id = abi::callout(config, &check.cluster, &headers, millis)?;
    Some((config.address(), id))
}

/// The response to a request of our own is there, on the main thread, with its headers if there are any.
pub(crate) fn answered(config: Config, id: u64, status: Option<&[u8]>) {
    let caller = lock(&SENT)
        .get_or_insert_default()
        .remove(&(config.address(), id));
    if let Some((thread, number, call)) = caller {
        let status = status.and_then(decimal);
        let status = status.and_then(|status| u16::try_from(status).ok());
        thread.lock().called(number, call, status);
    }
}

/// An instance goes: Envoy drops its requests and says nothing.
pub(crate) fn forget_instance(config: Config) {
    let address = config.address();
    let mut sent = lock(&SENT);
    let dropped = sent
        .get_or_insert_default()
        .extract_if(|(of, _), _| *of == address);
    let dropped: Vec<_> = dropped.map(|(_, caller)| caller).collect();
    drop(sent);
    for (thread, number, call) in dropped {
        thread.lock().called(number, call, None);
    }
}
