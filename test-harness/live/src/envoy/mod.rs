//! A real Envoy as a child process: started on free ports, asked over its admin path, gone when it is dropped.

pub mod body;
pub mod bootstrap;
pub(crate) mod custom_response;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::clock;
use body::Body;

/// Until Envoy must be ready.
const START: Duration = Duration::from_secs(30);
/// How long its admin interface may take to answer: its main thread may be compiling modules on a busy machine.
const ADMIN_PATIENCE: Duration = Duration::from_secs(30);

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
    files: TempDir,
    epoch: u32,
}

/// The root of this repository, where `.tools/` and `dist/` stand.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Envoy's binary: `ENVOY_BIN`, or what `scripts/envoy.sh` got.
///
/// # Errors
/// If there is none.
pub fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("ENVOY_BIN")
        .map_or_else(|| repository().join(".tools/envoy"), PathBuf::from);
    ensure!(
        path.exists(),
        "there is no Envoy at {}: run scripts/envoy.sh or set ENVOY_BIN",
        path.display()
    );
    Ok(path)
}

/// Envoy's version, as its binary says it: `1.40.0`.
///
/// # Errors
/// If it cannot be run or says something else.
pub fn version() -> anyhow::Result<String> {
    let output = Command::new(binary()?).arg("--version").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL
    let build = said.split(" version: ").nth(1).unwrap_or_default();
    let version = build.split('/').nth(1).unwrap_or_default();
    let parts: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
    ensure!(
        parts.len() == 3 && parts.iter().all(Result::is_ok),
        "Envoy names no version: {said}"
    );
    Ok(version.to_owned())
}

/// The filter in the body that `SEAWALL_BODY` says: what `SEAWALL_WASM` or `SEAWALL_MODULE` names, or what `make` built.
///
/// # Errors
/// If there is none.
pub fn filter() -> anyhow::Result<PathBuf> {
    Body::asked()?.file()
}

/// Whether Envoy takes this bootstrap; if not, what it says.
///
/// # Errors
/// If Envoy cannot be run at all.
pub fn validate(bootstrap: &Value) -> anyhow::Result<Result<(), String>> {
    let files = tempfile::tempdir()?;
    let config = files.path().join("bootstrap.json");
    std::fs::write(&config, bootstrap.to_string())?;
    let output = Command::new(binary()?)
        .args([
            "--mode",
            "validate",
            "--use-dynamic-base-id",
            "-l",
            "error",
            "-c",
        ])
        .arg(&config)
        .env(body::SEARCH_PATH, body::search_path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() {
        Ok(())
    } else {
        Err(said)
    })
}

impl Envoy {
    /// Starts Envoy with this bootstrap and so many workers, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not become ready, with what it logged.
    pub async fn start(bootstrap: &Value, workers: usize) -> anyhow::Result<Self> {
        Self::start_with(bootstrap, workers, &[]).await
    }

    /// The same with more arguments, such as `--component-log-level wasm:trace`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(
        bootstrap: &Value,
        workers: usize,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let first = ["--use-dynamic-base-id"];
        Self::spawn(bootstrap, workers, &[&first, more].concat(), 0).await
    }

    /// Starts another process that takes this one's listeners over (a hot restart); this one then drains and ends by the
    /// times that it was started with. Listeners keep their sockets if their addresses are the same, and not port 0.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn taken_over(
        &self,
        bootstrap: &Value,
        workers: usize,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let base = std::fs::read_to_string(self.files.path().join("base-id"))?;
        let epoch = self.epoch + 1;
        let number = epoch.to_string();
        let next = ["--base-id", base.trim(), "--restart-epoch", &number];
        Self::spawn(bootstrap, workers, &[&next, more].concat(), epoch).await
    }

    async fn spawn(
        bootstrap: &Value,
        workers: usize,
        more: &[&str],
        epoch: u32,
    ) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let config = files.path().join("bootstrap.json");
        let admin_file = files.path().join("admin");
        std::fs::write(&config, serde_json::to_string_pretty(bootstrap)?)?;
        let mut command = tied_to_this_process(&binary()?);
        command
            .args(["-l", "info", "--concurrency"])
            .arg(workers.to_string())
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin_file)
            .arg("--base-id-path")
            .arg(files.path().join("base-id"))
            .args(["--file-flush-interval-msec", "50"])
            .env(body::SEARCH_PATH, body::search_path())
            .args(more)
            .stdin(Stdio::null())
            .stdout(File::create(files.path().join("access.log"))?)
            .stderr(File::create(files.path().join("log"))?);
        let child = command.spawn().context("starting Envoy")?;
        let mut envoy = Self {
            child,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            listeners: BTreeMap::new(),
            files,
            epoch,
        };
        if let Err(error) = envoy.ready(&admin_file).await {
            bail!("{error:#}; Envoy's log ends with:\n{}", envoy.log_tail(20));
        }
        Ok(envoy)
    }

    /// Whether the process has ended by itself.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    async fn ready(&mut self, admin_file: &Path) -> anyhow::Result<()> {
        let deadline = clock::now() + START;
        while clock::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("Envoy ended with {status}");
            }
            if let Some(admin) = std::fs::read_to_string(admin_file)
                .ok()
                .and_then(|at| at.trim().parse().ok())
            {
                self.admin = admin;
                if self
                    .admin("/ready")
                    .await
                    .is_ok_and(|answer| answer.trim() == "LIVE")
                {
                    return self.find_listeners().await;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("Envoy was not ready after {START:?}")
    }

    async fn find_listeners(&mut self) -> anyhow::Result<()> {
        let listeners: Value = serde_json::from_str(&self.admin("/listeners?format=json").await?)?;
        for status in listeners["listener_statuses"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let socket = &status["local_address"]["socket_address"];
            let port = socket["port_value"]
                .as_u64()
                .context("a listener without a port")?;
            let name = status["name"].as_str().unwrap_or_default().to_owned();
            self.listeners.insert(
                name,
                SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?)),
            );
        }
        Ok(())
    }

    /// The process' number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of a listener by its name.
    ///
    /// # Errors
    /// If there is no such listener.
    pub fn listener(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let known = || {
            self.listeners
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        };
        let found = self.listeners.get(name).copied();
        found.with_context(|| format!("no listener {name}; there are: {}", known()))
    }

    /// What the admin path answers.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        ask(self.admin, "GET", path).await
    }

    /// The same with POST.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn admin_post(&self, path: &str) -> anyhow::Result<String> {
        ask(self.admin, "POST", path).await
    }

    /// All counters and gauges whose name holds `part`.
    ///
    /// # Errors
    /// If the admin path does not answer.
    pub async fn stats(&self, part: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        let text = self.admin("/stats").await?;
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        let mut stats: BTreeMap<String, u64> = lines
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect();
        if Body::asked()? == Body::Module {
            stats.extend(body::series(&self.admin("/stats/prometheus").await?));
        }
        stats.retain(|name, _| name.contains(part));
        Ok(stats)
    }

    /// The sum of all counters whose name holds all of `parts`.
    ///
    /// # Errors
    /// If the admin path does not answer.
    pub async fn sum(&self, parts: &[&str]) -> anyhow::Result<u64> {
        let stats = self
            .stats(parts.first().copied().unwrap_or_default())
            .await?;
        let fits = |name: &str| parts.iter().all(|part| name.contains(part));
        Ok(stats
            .iter()
            .filter(|(name, _)| fits(name))
            .map(|(_, value)| value)
            .sum())
    }

    /// Waits until such a sum is at least `least`: the filter flushes its metrics every half second.
    ///
    /// # Errors
    /// If it is not after ten seconds, with what there is.
    pub async fn wait_for(&self, parts: &[&str], least: u64) -> anyhow::Result<u64> {
        let deadline = clock::now() + Duration::from_secs(10);
        loop {
            let sum = self.sum(parts).await?;
            if sum >= least {
                return Ok(sum);
            }
            if clock::now() > deadline {
                let there = self.stats("seawall").await?;
                bail!("{parts:?} is {sum} and not {least}; there is {there:#?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Envoy's whole log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }

    /// The filter's own lines of it that hold `part`.
    pub fn log_lines(&self, part: &str) -> Vec<String> {
        let log = self.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("seawall: ") && line.contains(part));
        lines.map(str::to_owned).collect()
    }

    /// The access log, one line for each request.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.files.path().join("access.log")).unwrap_or_default()
    }

    fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that the kernel kills when this process ends, however it ends.
fn tied_to_this_process(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> anyhow::Result<String> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "admin")
            .body(Empty::<Bytes>::new())?;
        let body = send
            .send_request(request)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        anyhow::Ok(String::from_utf8_lossy(&body).into_owned())
    };
    let answered = tokio::time::timeout(ADMIN_PATIENCE, exchange).await;
    answered.with_context(|| {
        format!("the admin interface said nothing to {path} in {ADMIN_PATIENCE:?}")
    })?
}
