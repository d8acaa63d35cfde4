//! Puts the filter into the program: `dist/seawall.wasm` where `make wasm` has built it, else nothing.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let root = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    let filter = root.join("../dist/seawall.wasm");
    let copy = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", filter.display());
    let bytes = fs::read(&filter).unwrap_or_default();
    fs::write(copy.join("seawall.wasm"), bytes).expect("OUT_DIR can be written");
}
