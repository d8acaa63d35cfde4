//! The two bodies of the filter: what differs between them for whoever starts an Envoy with one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::repository;

/// Where Envoy looks for dynamic modules.
pub(super) const SEARCH_PATH: &str = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH";
/// Which body is asked for: `wasm`, as without it, or `module`.
const ASKED: &str = "SEAWALL_BODY";

/// A body of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// A module of WebAssembly.
    Wasm,
    /// A shared library that Envoy loads into its process.
    Module,
}

impl Body {
    /// The body that a file is, by its name.
    pub fn of(file: &Path) -> Self {
        match file.extension().is_some_and(|extension| extension == "so") {
            true => Self::Module,
            false => Self::Wasm,
        }
    }

    /// The body that `SEAWALL_BODY` asks for.
    ///
    /// # Errors
    /// If it says something else.
    pub fn asked() -> anyhow::Result<Self> {
        match std::env::var(ASKED).as_deref() {
            Err(_) | Ok("" | "wasm") => Ok(Self::Wasm),
            Ok("module") => Ok(Self::Module),
            Ok(other) => bail!("{ASKED} is '{other}': write wasm or module"),
        }
    }

    /// Its file: what its variable names, or what `make` built.
    ///
    /// # Errors
    /// If there is none.
    pub fn file(self) -> anyhow::Result<PathBuf> {
        let path = std::env::var_os(self.variable())
            .map_or_else(|| repository().join(self.built()), PathBuf::from);
        let target = self.target();
        ensure!(
            path.is_file(),
            "there is no filter at {}: run make {target}",
            path.display()
        );
        Ok(path)
    }

    /// The variable that names another file of this body.
    const fn variable(self) -> &'static str {
        match self {
            Self::Wasm => "SEAWALL_WASM",
            Self::Module => "SEAWALL_MODULE",
        }
    }

    /// Where `make` builds it.
    const fn built(self) -> &'static str {
        match self {
            Self::Wasm => "dist/seawall.wasm",
            Self::Module => "dist/libseawall.so",
        }
    }

    /// What `make` calls it.
    const fn target(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Module => "module",
        }
    }
}

/// The folder of the dynamic module.
pub(super) fn search_path() -> PathBuf {
    let file = std::env::var_os(Body::Module.variable()).map(PathBuf::from);
    let file = file.unwrap_or_else(|| repository().join(Body::Module.built()));
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// The filter's series in Prometheus' text, named as those of the WebAssembly body: `wasmcustom.seawall_decisions..policy=p..upstream=u`.
pub(super) fn series(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    // Where a test has a runtime of its own, the namespace of the metrics still stands before their names.
    let lines = lines.map(|(name, value)| (name.trim_start_matches("envoy_seawall_"), value));
    let ours = lines.filter(|(name, _)| name.starts_with("seawall_"));
    ours.filter_map(|(series, value)| {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split("\",");
        let labels = labels.filter_map(|label| label.split_once("=\""));
        let mut whole = format!("wasmcustom.{name}");
        for (label, value) in labels {
            whole.push_str(&format!("..{label}={}", value.trim_end_matches('"')));
        }
        Some((whole, value.parse().ok()?))
    })
    .collect()
}
