//! What a filter says of the body that it runs in, whichever that is.

use super::filter::Filter;
use super::{Findings, dynamic_module, wasm};

/// What any filter says.
pub(super) fn check(findings: &mut Findings, place: &Filter<'_>) {
    if place.is_disabled {
        let problem = "is true: the filter runs only on routes that enable it; take it out";
        findings.warning(&super::joined(&place.path, "disabled"), problem);
    }
    match place.is_dynamic_module() {
        true => dynamic_module::check(findings, place),
        false => wasm::check(findings, place),
    }
}

/// What a filter says whose state nobody else names: each body has its own way to say who shares it.
pub(super) fn state(findings: &mut Findings, place: &Filter<'_>) {
    if !place.is_dynamic_module() {
        wasm::vm_id(findings, place);
    }
}

/// What a filter says that is whole as it stands, so that what it does not say is missing.
pub(super) fn whole(findings: &mut Findings, place: &Filter<'_>) {
    if !place.is_dynamic_module() {
        wasm::whole(findings, place);
    }
    state(findings, place);
}
