//! The key of the process, read or made once per VM when it is first needed.

use std::cell::Cell;

use seawall_policy::shared::process_key::ProcessKey;

use crate::host::random;
use crate::host::shared::Shared;

thread_local! {
    static KNOWN: Cell<Option<ProcessKey>> = const { Cell::new(None) };
}

/// The key; nothing where it can neither be read nor made now. Only the first call of a VM costs calls of the host.
pub(crate) fn get() -> Option<ProcessKey> {
    let known = KNOWN.get();
    if known.is_some() {
        return known;
    }
    let found = ProcessKey::obtain(&Shared, &mut random::bytes).ok();
    KNOWN.set(found);
    found
}
