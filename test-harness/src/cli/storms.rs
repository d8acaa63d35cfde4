//! `seawall chaos random` and `shrink`: storms that are drawn from a seed, and the smallest one that still breaks something.
#![allow(
    clippy::disallowed_methods,
    reason = "--for is a time on the real clock; storms are on their own"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::BROKEN;
use super::filter::Filter;
use super::outputs::store;
use super::policy::{configuration, shipped};
use super::progress;
use super::stdout::say;
use crate::chaos::{Broken, Gust, Storm, Tried, shrink};
use crate::parallel::{self, cores};
use crate::report::words::quoted;

/// Storms that are played before the time is looked at.
const ROUND: u64 = 16;
/// Storms that are told one by one.
const TOLD: usize = 10;

/// Draws storms from a seed and checks in each what must always hold: no trap, recovery in time, no healthy upstream refused after
/// that, never more in flight than there are slots.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seawall chaos random --seed 1 --storms 1000
  seawall chaos random --seed 2 --for 1h --policy policy.yaml

Exit codes: 0 all held; 2 bad usage or input; 3 an invariant is broken. The same seed draws the same storms.")]
pub(super) struct Random {
    #[command(flatten)]
    under: Under,
    /// So many storms. [default: 100, or as many as there is time for]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    storms: Option<u64>,
    /// For so long, by the clock on the wall.
    #[arg(long = "for", value_parser = super::nanos_above_0, value_name = "TIME")]
    length: Option<u64>,
    /// The number of the first storm.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes a storm that breaks an invariant smaller for as long as it breaks it: fewer faults, shorter, sooner, in a smaller world.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seawall chaos shrink --seed 1 --storm 17 --policy policy.yaml
  seawall chaos shrink --seed 1 --storm 17 --policy policy.yaml --out storm-1-17.json

The file that --out writes is an experiment, which `seawall chaos run` plays.
Exit codes: 0 the storm breaks nothing; 2 bad usage or input; 3 it breaks an invariant, and the smallest one was told.")]
pub(super) struct Shrink {
    #[command(flatten)]
    under: Under,
    /// The storm's number.
    #[arg(long)]
    storm: u64,
    /// Writes the smallest storm as an experiment.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which storms, and under what.
#[derive(Debug, Args)]
struct Under {
    /// The seed of all storms.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A policy file, YAML or JSON. [default: the defaults of every key]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Serialize)]
struct Found {
    seed: u64,
    first: u64,
    storms: u64,
    broken: Vec<Bad>,
    reproduce: String,
}

#[derive(Serialize)]
struct Bad {
    storm: u64,
    #[serde(flatten)]
    broken: Broken,
}

impl Under {
    fn tried(&self) -> anyhow::Result<Tried> {
        let (configuration, _) = match &self.policy {
            Some(file) => configuration(file)?,
            None => shipped()?,
        };
        let policy = serde_json::from_slice(&configuration)?;
        Tried::new(policy).map_err(anyhow::Error::msg)
    }

    fn arguments(&self) -> String {
        let mut line = format!(" --seed {}", self.seed);
        if let Some(file) = &self.policy {
            line.push_str(&format!(" --policy {}", quoted(&file.to_string_lossy())));
        }
        line.push_str(&self.filter.argument());
        line
    }
}

impl Random {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let tried = self.under.tried()?;
        let module = self.under.filter.module()?;
        let until = self
            .length
            .map(|nanos| Instant::now() + Duration::from_nanos(nanos));
        let most = match (self.storms, until) {
            (Some(storms), _) => storms,
            (None, Some(_)) => u64::MAX,
            (None, None) => 100,
        };
        let bar = progress::storms((most < u64::MAX).then_some(most));
        let mut storms = 0;
        let mut broken = Vec::new();
        while storms < most && until.is_none_or(|until| Instant::now() < until) {
            let round = ROUND.min(most - storms);
            let first = self.first + storms;
            let played = parallel::each(usize::try_from(round)?, cores(), |number| {
                let storm = Storm::draw(self.under.seed, first + number as u64);
                let found = tried.broken(&storm, &module);
                bar.inc(1);
                found.map(|broken| broken.map(|broken| (storm.number, broken)))
            });
            for found in played.context("a storm could not be played")? {
                let found = found?;
                broken.extend(found.map(|(storm, broken)| Bad { storm, broken }));
            }
            storms += round;
        }
        bar.finish_and_clear();
        let found = Found {
            seed: self.under.seed,
            first: self.first,
            storms,
            broken,
            reproduce: format!(
                "seawall chaos random{} --first {} --storms {storms}",
                self.under.arguments(),
                self.first
            ),
        };
        if self.json {
            say!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            self.tell(&found);
        }
        Ok(match found.broken.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(BROKEN),
        })
    }

    fn tell(&self, found: &Found) {
        for bad in found.broken.iter().take(TOLD) {
            say!(
                "storm {}: {:?}: {}",
                bad.storm,
                bad.broken.invariant,
                bad.broken.problem
            );
            say!(
                "    smaller: seawall chaos shrink{} --storm {}",
                self.under.arguments(),
                bad.storm
            );
        }
        if found.broken.len() > TOLD {
            say!("and {} more", found.broken.len() - TOLD);
        }
        say!(
            "{} storms, seed {}: {} broke an invariant",
            found.storms,
            found.seed,
            found.broken.len()
        );
        say!("again: {}", found.reproduce);
    }
}

impl Shrink {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let tried = self.under.tried()?;
        let module = self.under.filter.module()?;
        let storm = Storm::draw(self.under.seed, self.storm);
        let bar = progress::storms(None);
        let shrunk = shrink(&tried, &storm, &module, || bar.inc(1))?;
        bar.finish_and_clear();
        let Some(shrunk) = shrunk else {
            say!("storm {} breaks nothing", self.storm);
            return Ok(ExitCode::SUCCESS);
        };
        if let Some(file) = &self.out {
            let text = serde_json::to_string_pretty(&tried.document(&shrunk.storm))?;
            store(file, &text).context("the smallest storm")?;
        }
        if self.json {
            say!("{}", serde_json::to_string_pretty(&shrunk)?);
            return Ok(ExitCode::from(BROKEN));
        }
        let storm_is = &shrunk.storm;
        say!("{:?}: {}", shrunk.broken.invariant, shrunk.broken.problem);
        say!(
            "{} of {} gusts are left, after {} tries; times count from the end of 10 calm seconds:",
            storm_is.gusts.len(),
            storm.gusts.len(),
            shrunk.tried
        );
        for gust in &storm_is.gusts {
            match gust {
                Gust::Fault(fault) => say!("    {fault}"),
                Gust::Surge(surge) => say!(
                    "    {} times the load from {} s to {} s",
                    surge.times,
                    surge.at as f64 / 1e9,
                    surge.end() as f64 / 1e9
                ),
            }
        }
        say!(
            "{} hosts with {} servers each, {} workers, {} requests a second of {} ms, {} tries of a user",
            storm_is.hosts,
            storm_is.servers,
            storm_is.workers,
            storm_is.rate,
            storm_is.service_ms,
            storm_is.tries
        );
        say!(
            "again: seawall chaos shrink{} --storm {}",
            self.under.arguments(),
            self.storm
        );
        Ok(ExitCode::from(BROKEN))
    }
}
