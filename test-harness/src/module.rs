//! A module on its way into the host: read, compiled once, and only of a version of the interface that Envoy takes too.

use std::path::Path;

use wasmtime::{Config, Engine, InstancePre};

use crate::abi::{Guest, known, linker};

const VERSIONS: [&str; 2] = ["proxy_abi_version_0_2_1", "proxy_abi_version_0_2_0"];

/// Why a module cannot be loaded or a process not be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The file cannot be read or is no module.
    #[error("{0}")]
    Module(String),
    /// It speaks another version of the interface.
    #[error("the module speaks none of {}: as Envoy, this host takes no other", VERSIONS.join(", "))]
    Version,
    /// It asks for what no host has.
    #[error(
        "the module imports {0}, which is neither Proxy-Wasm nor a call of WASI that this host knows"
    )]
    Import(String),
    /// A VM stands inside a host call: it cannot be driven from there.
    #[error("a VM stands inside a host call")]
    Inside,
    /// It refused its configuration.
    #[error("the module refused its configuration: {0}")]
    Refused(String),
    /// It trapped while it started.
    #[error("the module trapped while it started: {0}")]
    Trapped(String),
}

/// A compiled module.
#[derive(Clone)]
pub struct Module {
    pub(crate) engine: Engine,
    /// With all imports found, so that a VM starts without another search.
    pub(crate) linked: InstancePre<Guest>,
}

impl Module {
    /// Compiles a module from its bytes.
    ///
    /// # Errors
    /// If it is none, or speaks another version of the interface.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HostError> {
        let text = |error: wasmtime::Error| HostError::Module(format!("{error:#}"));
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).map_err(text)?;
        let module = wasmtime::Module::from_binary(&engine, bytes).map_err(text)?;
        if !VERSIONS
            .iter()
            .any(|version| module.get_export(version).is_some())
        {
            return Err(HostError::Version);
        }
        for import in module.imports() {
            let function = import.ty().func().is_some();
            if !function || known::import(import.module(), import.name()).is_none() {
                let name = format!("{}.{}", import.module(), import.name());
                return Err(HostError::Import(name));
            }
        }
        let linked = linker(&engine, &module)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map_err(text)?;
        Ok(Self { engine, linked })
    }

    /// Compiles a module from a file.
    ///
    /// # Errors
    /// If it cannot be read, is none, or speaks another version of the interface.
    pub fn from_file(path: &Path) -> Result<Self, HostError> {
        let bytes = std::fs::read(path)
            .map_err(|error| HostError::Module(format!("{}: {error}", path.display())))?;
        Self::from_bytes(&bytes)
    }
}
