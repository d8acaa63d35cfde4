//! The table of who is to blame, row by row, on a real Envoy: for each response flag and each phase a request that ends so,
//! what Envoy logs of it, and what the filter counts for its upstream. All of them come by an outbound and by an inbound
//! listener. [`own`] does the same for our own local replies.

mod cases;
mod own;
mod stand;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seawall_live::clock;
use seawall_live::envoy::Envoy;
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::Upstream;
use seawall_policy::outcome::blame::{AfterHeaders, ROWS, Row, Side};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{anywhere, assert_no_trap, beside_others};
use cases::{Case, Does, NEVER, Phase, Verdict};
use wire::Signals;

/// Until the last request has ended: the limits of the cases are two seconds at most.
const PATIENCE: Duration = Duration::from_secs(15);

/// A case with its upstream.
#[derive(Debug)]
struct Played {
    case: Case,
    host: SocketAddr,
    signals: Signals,
}

/// Every phase of every row has a case or a reason why there is none, and only one of both.
#[test]
fn each_row_has_a_way_to_it_in_both_phases_or_a_reason_why_not() {
    let cases = cases::all();
    for row in &ROWS {
        for phase in [Phase::Before, Phase::After] {
            let mut known = cases.iter();
            let shown = known.any(|case| case.row == row.name && case.phase == phase);
            let mut reasons = NEVER.iter();
            let reason = reasons.find(|(rows, when, _)| *when == phase && rows.contains(&row.name));
            if let Some((_, _, why)) = reason {
                println!("{} {phase:?}: {why}", row.name);
            }
            assert_ne!(shown, reason.is_some(), "{} {phase:?}", row.name);
        }
        let shown = cases.iter().any(|case| case.row == row.name);
        assert!(shown, "no phase of {} is seen on a real Envoy", row.name);
    }
    let names = ROWS.map(|row| row.name);
    let mut unknown = cases.iter().filter(|case| !names.contains(&case.row));
    assert!(
        unknown.next().is_none(),
        "a case of a row that is not there"
    );
}

/// Whether this is what a request counts that ends with the flag of this row alone.
fn is_of_row(row: &Row, phase: Phase, verdict: Verdict) -> bool {
    match (phase, row.after, row.side) {
        (Phase::Before, _, Side::Client) => {
            matches!(verdict, ("ignored", Some("client_gone" | "unfinished")))
        }
        // What an upstream may answer to a request that is not complete is no failure of it.
        (Phase::Before, _, Side::Upstream) => {
            matches!(verdict, ("failure", None) | ("ignored", Some("unfinished")))
        }
        // No connection, or no address of a host.
        (Phase::Before, _, Side::Path) => {
            matches!(verdict, ("failure", None) | ("ignored", Some("envoy")))
        }
        (Phase::Before, _, Side::Envoy) => verdict == ("ignored", Some("envoy")),
        (Phase::Before, _, Side::OtherFilter) => verdict == ("ignored", Some("other_filter")),
        // Our own replies have no flag.
        (Phase::Before, _, Side::Ourselves) => false,
        (Phase::After, AfterHeaders::Stands, _) => verdict == ("success", None),
        // No other request is there to tell.
        (Phase::After, AfterHeaders::Stalled | AfterHeaders::Idle, _) => {
            verdict == ("success", Some("stalled_after_headers"))
        }
        (Phase::After, AfterHeaders::Cut, _) => verdict == ("failure", None),
    }
}

#[test]
fn each_case_is_judged_as_its_row_says() {
    // Envoy sets no flag for some rows. Where it sets two, the other row may say more.
    let cases = cases::all().into_iter();
    let mut alone = cases.filter(|case| [case.row, "-"].contains(&case.flags));
    assert!(alone.all(|case| {
        let row = ROWS.iter().find(|row| row.name == case.row);
        let agrees = row.is_some_and(|row| is_of_row(row, case.phase, case.verdict));
        println!("{} {:?} {:?}: {agrees}", case.row, case.phase, case.verdict);
        agrees
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_flag_of_a_real_envoy_blames_the_side_that_its_row_says() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    assert_each_flag("OUTBOUND").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_an_inbound_listener_each_flag_blames_the_same_side() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    assert_each_flag("INBOUND").await
}

/// Plays all cases by listeners of this direction.
async fn assert_each_flag(direction: &'static str) -> anyhow::Result<()> {
    let files = tempfile::tempdir()?;
    let (_closed, closed) = stand::closed_port()?;
    let mut servers = JoinSet::new();
    let mut played = Vec::new();
    for case in cases::all() {
        let listener = TcpListener::bind(anywhere()).await?;
        let host = match case.does {
            Does::Refuses => closed,
            _ => listener.local_addr()?,
        };
        let one = Arc::new(Played {
            case,
            host,
            signals: Signals::default(),
        });
        servers.spawn(wire::serve(listener, Arc::clone(&one)));
        played.push(one);
    }
    let well = Upstream::start("well", anywhere()).await?;
    let hosts = (closed, well.address());
    let envoy = stand::start(&played, hosts, direction, files.path()).await?;
    envoy.admin_post("/healthcheck/fail").await?;
    stand::use_token_up(&envoy).await?;

    let open = ask_all(&played, &envoy).await?;
    let logged = all_logged(&played, &envoy, files.path()).await?;
    drop(open);
    mark(&envoy).await?;
    let counted = Counted::read(&envoy).await?;
    let wrong: Vec<String> = played
        .iter()
        .filter_map(|one| complaint(&one.case, &logged, &counted))
        .collect();
    assert!(wrong.is_empty(), "{direction}: {wrong:#?}");
    assert_no_trap(&envoy);
    Ok(())
}

/// Sends all requests, beside each other. Gives back the connections that must not be closed before all is logged.
async fn ask_all(played: &[Arc<Played>], envoy: &Envoy) -> anyhow::Result<Vec<TcpStream>> {
    let (edge, unconfigured) = (
        envoy.listener(stand::EDGE)?,
        envoy.listener(stand::UNCONFIGURED)?,
    );
    let mut requests = JoinSet::new();
    for one in played {
        let one = Arc::clone(one);
        let address = match one.case.row {
            "NFCF" => unconfigured,
            _ => edge,
        };
        requests.spawn(async move {
            let mut kept = None;
            for _ in 0..one.case.times {
                kept = wire::ask(&one, address).await?;
            }
            anyhow::Ok(kept)
        });
    }
    let kept: anyhow::Result<Vec<_>> = requests.join_all().await.into_iter().collect();
    Ok(kept?.into_iter().flatten().collect())
}

/// What Envoy logged of each case, once all have ended: its status, flags and details, of the last request.
async fn all_logged(
    played: &[Arc<Played>],
    envoy: &Envoy,
    files: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    const LOOKS: u32 = 6;
    let deadline = clock::now() + PATIENCE;
    for look in 0_u32.. {
        // Pressure comes and goes, until what it is to hit has grown.
        if look % LOOKS == 0 {
            stand::press(files, (look / LOOKS).is_multiple_of(2))?;
        }
        let log = envoy.access_log();
        let of = |name: &str| {
            let begin = format!("{name} ");
            let lines = log.lines().filter(move |line| line.starts_with(&begin));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let missing = |case: &Case| (of(case.name).len() as u64) < case.times;
        let missing: Vec<_> = played.iter().filter(|one| missing(&one.case)).collect();
        if missing.is_empty() {
            let last = played.iter().map(|one| {
                let last = of(one.case.name).pop().unwrap_or_default();
                (one.case.name.to_owned(), last)
            });
            return Ok(last.collect());
        }
        let names: Vec<_> = missing.iter().map(|one| one.case.name).collect();
        anyhow::ensure!(clock::now() < deadline, "not logged: {names:?}\n{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("asked too often")
}

/// Asks once more and waits until that is counted: the only worker has then told the host all that came before.
async fn mark(envoy: &Envoy) -> anyhow::Result<()> {
    let pool = Pool::new(envoy.listener(stand::EDGE)?, Protocol::Http1);
    let path = format!("/{}/", stand::WELL);
    pool.send(&hyper::Method::GET, &path, &[]).await?;
    let upstream = format!("upstream={}..", stand::WELL);
    let seen = ["wasmcustom.seawall_outcomes", &upstream, "outcome=success"];
    envoy.wait_for(&seen, 1).await?;
    Ok(())
}

/// What the filter counted, by upstream and outcome, or by upstream and reason.
#[derive(Debug)]
struct Counted {
    outcomes: BTreeMap<String, BTreeMap<String, u64>>,
    reasons: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Counted {
    async fn read(envoy: &Envoy) -> anyhow::Result<Self> {
        let stats = envoy.stats("wasmcustom.seawall_").await?;
        let by = |family: &str, label: &str| {
            let mut whole: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
            for (name, count) in stats.iter().filter(|(_, count)| **count > 0) {
                let mut parts = name.split("..");
                if !parts.next().is_some_and(|first| first.ends_with(family)) {
                    continue;
                }
                let labels: BTreeMap<_, _> =
                    parts.filter_map(|part| part.split_once('=')).collect();
                if let Some((upstream, value)) = labels.get("upstream").zip(labels.get(label)) {
                    let of = whole.entry((*upstream).to_owned()).or_default();
                    of.insert((*value).to_owned(), *count);
                }
            }
            whole
        };
        Ok(Self {
            outcomes: by("seawall_outcomes", "outcome"),
            reasons: by("seawall_ignored", "reason"),
        })
    }
}

/// What is not as the case says, if anything.
fn complaint(case: &Case, logged: &BTreeMap<String, String>, counted: &Counted) -> Option<String> {
    let line = logged
        .get(case.name)
        .map(String::as_str)
        .unwrap_or_default();
    let mut words = line.splitn(4, ' ').skip(2);
    let flags = words.next().unwrap_or_default();
    let details = words.next().unwrap_or_default();
    let (outcome, reason) = case.verdict;
    let one = |name: &str, count| BTreeMap::from([(name.to_owned(), count)]);
    let outcomes = counted.outcomes.get(case.name).cloned().unwrap_or_default();
    let reasons = counted.reasons.get(case.name).cloned().unwrap_or_default();
    let as_due = flags == case.flags
        && details.starts_with(case.details)
        && outcomes == one(outcome, case.times)
        && reasons == reason.map_or_else(BTreeMap::new, |reason| one(reason, 1));
    (!as_due).then(|| {
        format!(
            "{} {:?}: {line}; counted {outcomes:?} {reasons:?}; due {} {} and {:?}",
            case.row, case.phase, case.flags, case.details, case.verdict
        )
    })
}
