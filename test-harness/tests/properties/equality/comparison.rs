//! What must be equal.

use std::collections::BTreeMap;

use seawall_harness::abi::stream::HeaderMap;
use seawall_harness::process::Flow;
use seawall_native::Headers;
use seawall_policy::environment::effects::Reply;

pub(super) fn differs<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wasm: &BTreeMap<String, T>,
    native: &BTreeMap<String, T>,
) -> Result<(), String> {
    let keys = wasm.keys().chain(native.keys());
    for key in keys {
        let (there, here) = (wasm.get(key), native.get(key));
        if there != here {
            return Err(format!("{what}, {key}: wasm {there:?}, native {here:?}"));
        }
    }
    Ok(())
}

pub(super) fn same_flow(
    what: &str,
    wasm: &Flow,
    went: bool,
    reply: Option<&Reply>,
) -> Result<(), String> {
    let same = match (wasm, went) {
        (Flow::Continue, true) => true,
        (Flow::Pause, false) => reply.is_none(),
        (Flow::Reply(there), false) => reply.is_some_and(|here| {
            let headers: Vec<_> = here
                .headers
                .iter()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            there.status == u32::from(here.status)
                && there.details == here.details
                && there.body == here.body
                && there.headers == headers
                && there.grpc_status == here.grpc_status.map_or(-1, i32::from)
        }),
        _ => false,
    };
    match same {
        true => Ok(()),
        false => Err(format!(
            "{what}: wasm {wasm:?}, native went: {went}, {reply:?}"
        )),
    }
}

pub(super) fn same_headers(what: &str, wasm: &HeaderMap, native: &Headers) -> Result<(), String> {
    let sorted = |map: &[(Vec<u8>, Vec<u8>)]| {
        let mut map = map.to_vec();
        map.sort();
        map
    };
    let (there, here) = (sorted(wasm), sorted(native.lines()));
    match there == here {
        true => Ok(()),
        false => Err(format!("{what} headers: wasm {there:?}, native {here:?}")),
    }
}
