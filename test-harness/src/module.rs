//! A module on its way into the host: read, compiled once, and only of a version of the interface that Envoy takes too.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, Extern, ExternType, Instance, InstancePre, Store, ValType};

use crate::abi::ALLOCATORS;
use crate::abi::known::{self, Version};
use crate::abi::trace::wrapped;
use crate::abi::{Guest, linker};

const VERSIONS: [(&str, Version); 3] = [
    ("proxy_abi_version_0_2_1", Version::V021),
    ("proxy_abi_version_0_2_0", Version::V020),
    ("proxy_abi_version_0_1_0", Version::V010),
];

/// What every WebAssembly module begins with.
const MAGIC: &[u8] = b"\0asm";

/// Why a module cannot be loaded or a process not be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The file cannot be read or is no module.
    #[error("{0}")]
    Module(String),
    /// A file does not hold one that can be loaded.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// Why.
        why: Box<HostError>,
    },
    /// It speaks another version of the interface.
    #[error("the module speaks {0}: this host takes 0.2.1, 0.2.0 and 0.1.0, as Envoy does")]
    Version(String),
    /// It asks for what no host has.
    #[error(
        "the module imports {0}, which is neither Proxy-Wasm nor a call of WASI that this host knows"
    )]
    Import(String),
    /// It asks for what there is, but not as it is.
    #[error("an import of the module has other types than the host's: {0}")]
    ImportType(String),
    /// An export does not look as the host would call it.
    #[error("the module exports {name} with other types than the host calls: {wanted}")]
    Callback {
        /// The export.
        name: String,
        /// How it must look.
        wanted: String,
    },
    /// Nobody gives the host memory in it.
    #[error("the module exports no allocator: the host needs {} or {}", ALLOCATORS[0], ALLOCATORS[1])]
    Allocator,
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
    module: wasmtime::Module,
    /// With its imports found, so that a VM starts quickly.
    ready: InstancePre<Guest>,
    version: Version,
    /// In hexadecimal.
    sha256: String,
}

impl Module {
    /// Compiles a module from its bytes.
    ///
    /// # Errors
    /// If it is none, speaks another version of the interface, or asks for what this host does not have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HostError> {
        if !bytes.starts_with(MAGIC) {
            let problem = "this is no WebAssembly module, which begins with \\0asm";
            return Err(HostError::Module(problem.to_owned()));
        }
        let text = |error: wasmtime::Error| HostError::Module(in_one_line(&format!("{error:#}")));
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).map_err(text)?;
        let module = wasmtime::Module::from_binary(&engine, bytes).map_err(text)?;
        let version = version(&module)?;
        for import in module.imports() {
            let function = import.ty().func().is_some();
            if !function || known::import(version, import.module(), import.name()).is_none() {
                let name = format!("{}.{}", import.module(), import.name());
                return Err(HostError::Import(name));
            }
        }
        let ready = linker(&engine, &module)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map_err(|error| HostError::ImportType(format!("{error:#}")))?;
        exports(&module, version)?;
        Ok(Self {
            engine,
            module,
            ready,
            version,
            sha256: format!("{:x}", Sha256::digest(bytes)),
        })
    }

    /// Compiles a module from a file.
    ///
    /// # Errors
    /// If it cannot be read, and as [`Self::from_bytes`].
    pub fn from_file(path: &Path) -> Result<Self, HostError> {
        let bytes = std::fs::read(path).map_err(|error| HostError::Module(error.to_string()));
        let module = bytes.and_then(|bytes| Self::from_bytes(&bytes));
        module.map_err(|why| HostError::File {
            path: path.display().to_string(),
            why: Box::new(why),
        })
    }

    /// The version of the interface that it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// SHA-256 of its bytes, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The compiled module itself.
    pub fn compiled(&self) -> &wasmtime::Module {
        &self.module
    }

    /// An instance; where the process is traced, with its imports wrapped.
    ///
    /// # Errors
    /// If it cannot be instantiated.
    pub(crate) fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
        if !store.data().common.trace.is_on() {
            return self.ready.instantiate(store);
        }
        let linker = linker(&self.engine, &self.module)?;
        let mut imports = Vec::new();
        for import in self.module.imports() {
            let real = linker.get_by_import(&mut *store, &import);
            imports.push(match real {
                Some(Extern::Func(real)) => Extern::Func(wrapped(store, &import, real)),
                Some(other) => other,
                None => return linker.instantiate(store, &self.module),
            });
        }
        let instance = Instance::new(&mut *store, &self.module, &imports)?;
        store.data_mut().instance = Some(instance);
        Ok(instance)
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The version that a module says it speaks.
fn version(module: &wasmtime::Module) -> Result<Version, HostError> {
    let spoken = |name: &str| module.get_export(name).is_some();
    let found = VERSIONS.into_iter().find(|(name, _)| spoken(name));
    found.map(|(_, version)| version).ok_or_else(|| {
        let said = module.exports().find_map(|export| {
            let version = export.name().strip_prefix("proxy_abi_version_")?;
            Some(format!(
                "version {} of Proxy-Wasm",
                version.replace('_', ".")
            ))
        });
        HostError::Version(said.unwrap_or_else(|| "no version of Proxy-Wasm".to_owned()))
    })
}

/// Callbacks must look as the host calls them, and memory must be to be had.
fn exports(module: &wasmtime::Module, version: Version) -> Result<(), HostError> {
    if ALLOCATORS
        .iter()
        .all(|name| module.get_export(name).is_none())
    {
        return Err(HostError::Allocator);
    }
    for export in module.exports() {
        let (Some((takes, gives)), ExternType::Func(kind)) =
            (known::callback(version, export.name()), export.ty())
        else {
            continue;
        };
        let word = |kind: ValType| matches!(kind, ValType::I32);
        let fits = kind.params().len() == takes && kind.results().len() == usize::from(gives);
        if !fits || !kind.params().all(word) || !kind.results().all(word) {
            let result = if gives { "i32" } else { "nothing" };
            return Err(HostError::Callback {
                name: export.name().to_owned(),
                wanted: format!("{takes} times i32 -> {result}"),
            });
        }
    }
    Ok(())
}
