//! Where the commands have the filter from: a file that was named, `dist/seawall.wasm` here, or the one in the program.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::module::Module;
use crate::report::words::quoted;

/// The filter as it was when the program was built; empty if it was not there.
static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/seawall.wasm"));
/// Where `make wasm` puts it.
const BUILT: &str = "dist/seawall.wasm";

/// Which filter runs.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// The filter. [default: dist/seawall.wasm where it is, else the one that was built into this program]
    #[arg(long, env = "SEAWALL_WASM", value_name = "FILE")]
    wasm: Option<PathBuf>,
}

impl Filter {
    /// What the environment names, for commands that have no such argument.
    pub(super) fn of_environment() -> Self {
        Self {
            wasm: std::env::var_os("SEAWALL_WASM").map(PathBuf::from),
        }
    }

    /// It, compiled.
    pub(super) fn module(&self) -> anyhow::Result<Module> {
        Ok(self.module_and_bytes()?.0)
    }

    /// It, compiled, and the bytes that it was compiled from.
    pub(super) fn module_and_bytes(&self) -> anyhow::Result<(Module, Vec<u8>)> {
        self.load(Path::new(BUILT), BUILT_IN)
    }

    fn load(&self, built: &Path, built_in: &[u8]) -> anyhow::Result<(Module, Vec<u8>)> {
        if let Some(named) = &self.wasm {
            return read(named)
                .context("the filter (--wasm or SEAWALL_WASM; make wasm builds one)");
        }
        if built.is_file() {
            return read(built).context("the filter (make wasm builds it)");
        }
        anyhow::ensure!(
            !built_in.is_empty(),
            "there is no filter: this program was built before dist/seawall.wasm was, and has none in it; \
             name one with --wasm FILE or SEAWALL_WASM, or run `make wasm harness`"
        );
        let module = Module::from_bytes(built_in).context("the filter in this program")?;
        Ok((module, built_in.to_vec()))
    }

    /// As an argument of a command that does the same again; empty if nothing was named.
    pub(super) fn argument(&self) -> String {
        let named = self.wasm.as_ref();
        named.map_or_else(String::new, |named| {
            format!(" --wasm {}", quoted(&named.to_string_lossy()))
        })
    }
}

fn read(file: &Path) -> anyhow::Result<(Module, Vec<u8>)> {
    let name = || file.display().to_string();
    let bytes = std::fs::read(file).with_context(name)?;
    let module = Module::from_bytes(&bytes).with_context(name)?;
    Ok((module, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn said(named: Option<&Path>, built: &Path, built_in: &[u8]) -> String {
        let filter = Filter {
            wasm: named.map(Path::to_owned),
        };
        let error = filter
            .load(built, built_in)
            .err()
            .expect("none of these is a filter");
        format!("{error:#}")
    }

    #[test]
    fn what_is_named_wins_then_what_is_here_then_what_is_built_in() {
        let place = tempfile::tempdir().unwrap();
        let (named, built) = (place.path().join("named"), place.path().join("built"));
        assert!(said(None, &built, b"").contains("make wasm harness"));
        assert!(said(None, &built, EMPTY).contains("in this program"));
        std::fs::write(&built, EMPTY).unwrap();
        assert!(said(None, &built, EMPTY).contains("make wasm builds it"));
        let missing = said(Some(&named), &built, EMPTY);
        assert!(
            missing.contains("--wasm") && missing.contains("named"),
            "{missing}"
        );
    }

    #[test]
    fn what_is_built_in_is_what_was_there() {
        let there = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
        let there = std::fs::read(there).unwrap_or_default();
        assert!(
            BUILT_IN == there,
            "the program has another filter in it than dist/seawall.wasm"
        );
    }
}
