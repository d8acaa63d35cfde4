//! What a row decides when its upstream gets sick: seen at the upstream, so that a row that does nothing is found out.

use std::time::Duration;

use anyhow::ensure;

use super::rows::Sight;
use super::stand::Stand;
use crate::clock;
use crate::load::{Kind, Sample, count};
use crate::upstream::{Knobs, Upstream};

/// The window of a breaker with its defaults is 10 s, and full of good answers when the upstream gets sick.
const OPENS_WITHIN: Duration = Duration::from_secs(15);
const BURST: usize = 200;
/// More than any row's limit lets in.
const CROWD: usize = 150;
/// A request that the rows' total of a second ends, and no other limit of the run.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
const FIRST_FAIL: usize = 15;

/// Makes the upstream sick in each way that the row must see; what was wrong with what it did, if anything.
///
/// # Errors
/// If its Envoy is gone.
pub(super) async fn seen(stand: &Stand, upstream: &Upstream) -> anyhow::Result<Result<(), String>> {
    let mut sights = stand.row.sees.clone();
    // What opens a breaker comes last.
    sights.sort_by_key(|sight| matches!(sight, Sight::Opens | Sight::Passes));
    for sight in sights {
        let seen = match sight {
            Sight::Passes => passes(stand, upstream).await,
            Sight::Opens => opens(stand, upstream).await,
            Sight::Limits => limits(stand, upstream).await,
            Sight::Ends => ends(stand, upstream).await,
            Sight::Retries => retries(stand, upstream).await,
        };
        upstream.set(well());
        if let Err(error) = seen {
            return Ok(Err(format!("row \"{}\": {error:#}", stand.row.name)));
        }
    }
    Ok(Ok(()))
}

/// An upstream that answers at once.
pub(super) fn well() -> Knobs {
    Knobs {
        latency_ms: 0,
        ..Knobs::default()
    }
}

fn own_answers(samples: &[Sample]) -> usize {
    count(samples, Kind::Refused) + count(samples, Kind::Degraded)
}

async fn passes(stand: &Stand, upstream: &Upstream) -> anyhow::Result<()> {
    upstream.set(Knobs::failing(1.0));
    upstream.reset_stats();
    let samples = stand.burst(BURST, 4).await?;
    let reached = upstream.snapshot().requests;
    ensure!(
        reached == BURST as u64 && own_answers(&samples) == 0,
        "governs nothing, but {reached} of {BURST} requests reached an upstream that fails"
    );
    Ok(())
}

async fn opens(stand: &Stand, upstream: &Upstream) -> anyhow::Result<()> {
    upstream.set(Knobs::failing(1.0));
    let begin = clock::now();
    loop {
        upstream.reset_stats();
        let samples = stand.burst(BURST, 4).await?;
        let reached = upstream.snapshot().requests;
        let by_seawall = own_answers(&samples) > 0 || !stand.row.is_seawall();
        if reached * 10 <= BURST as u64 && by_seawall {
            return Ok(());
        }
        ensure!(
            clock::now().duration_since(begin) < OPENS_WITHIN,
            "did not open: after {OPENS_WITHIN:?} {reached} of {BURST} requests reach an upstream that fails"
        );
    }
}

async fn limits(stand: &Stand, upstream: &Upstream) -> anyhow::Result<()> {
    upstream.set(Knobs::slow(300));
    let samples = stand.burst(CROWD, CROWD).await?;
    ensure!(
        own_answers(&samples) > 0,
        "has limits, but lets {CROWD} requests in at the same time"
    );
    Ok(())
}

async fn ends(stand: &Stand, upstream: &Upstream) -> anyhow::Result<()> {
    upstream.set(Knobs::hanging());
    let begin = clock::now();
    let samples = stand.burst(1, 1).await?;
    let took = clock::now().duration_since(begin);
    ensure!(
        took < ENDS_WITHIN && count(&samples, Kind::Good) == 0,
        "has a total of a second, but a request to an upstream that hangs took {took:?}"
    );
    Ok(())
}

async fn retries(stand: &Stand, upstream: &Upstream) -> anyhow::Result<()> {
    // They pay for the retries.
    stand.burst(BURST, 4).await?;
    upstream.reset_stats();
    upstream.set(Knobs {
        first_error_rate: 1.0,
        ..well()
    });
    let samples = stand.burst(FIRST_FAIL, 1).await?;
    let retried = upstream.snapshot().retries;
    ensure!(
        retried == FIRST_FAIL as u64 && count(&samples, Kind::Good) == FIRST_FAIL,
        "has retries, but {retried} of {FIRST_FAIL} failed first attempts were followed by others"
    );
    Ok(())
}
