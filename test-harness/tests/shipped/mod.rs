//! The filter as it ships, for every suite that runs it.
#![allow(dead_code, reason = "each suite takes what it needs")]

use std::path::PathBuf;
use std::sync::OnceLock;

use seawall_harness::module::Module;

/// Where it is: `SEAWALL_WASM`, or what `make wasm` built.
pub(crate) fn wasm() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
    std::env::var_os("SEAWALL_WASM").map_or_else(|| PathBuf::from(built), PathBuf::from)
}

/// It, compiled once.
pub(crate) fn module() -> &'static Module {
    static COMPILED: OnceLock<Module> = OnceLock::new();
    COMPILED.get_or_init(|| {
        Module::from_file(&wasm()).unwrap_or_else(|error| panic!("{error}: run make wasm"))
    })
}

/// Every call that it makes of its host: what it imports, so that none is forgotten.
pub(crate) fn calls() -> Vec<&'static str> {
    let imports = module().compiled().imports();
    imports.map(|import| import.name()).collect()
}
