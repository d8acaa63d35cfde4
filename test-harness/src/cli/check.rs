//! `seawall check`: is this configuration right, and will it work where it stands?

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::check::{self, Finding, Findings, Verdict};
use crate::document::DocumentError;
use crate::report;
use crate::report::words::counted;
use crate::world::World;

use super::stdout::say;

/// The exit code where something was not read.
const INCOMPLETE: u8 = 3;
/// Findings of one kind that are printed; all are in the JSON.
const PRINTED_MAX: usize = 100;

/// Checks policy files and what holds one: Envoy's bootstraps, resources and /config_dump, Istio's and Envoy Gateway's
/// resources, ConfigMaps.
#[derive(Debug, Args)]
#[command(
    after_help = "A file is valid only if all of it was read. What was met and not read is named, such as listeners that
come from a control plane, templates, or a filter of an unknown type. What stands in one file is judged
together, and with --together what stands in all of them: a WasmPlugin with the DestinationRules and
VirtualServices beside it, or a bootstrap with the files of its listeners and clusters.

Exit codes, the most severe of all files:
  0  valid
  1  not valid, or no configuration of Seawall
  2  bad usage, or neither YAML nor JSON
  3  nothing wrong in what was read, but something was not read; with --allow-unread 0, if a configuration was

Examples:
  seawall check examples/policies/start.yaml envoy/seawall.yaml
  kubectl get wasmplugin,envoyfilter,destinationrule,virtualservice -A -o yaml | seawall check -
  seawall check --together wasmplugin.yaml destinationrule.yaml virtualservice.yaml
  curl -s localhost:9901/config_dump | seawall check -
  seawall check --json bootstrap.yaml | jq '.[] | {file, verdict, unread: .findings.unread}'"
)]
pub(super) struct Check {
    /// Files; - is standard input.
    #[arg(required_unless_present = "schema")]
    files: Vec<PathBuf>,
    /// Prints the findings as JSON: for each file its verdict, errors, warnings, and what was not read.
    #[arg(long)]
    json: bool,
    /// Judges all files together, as if they were one.
    #[arg(long)]
    together: bool,
    /// What was not read is still named, but changes the exit code no more if at least one configuration was read.
    #[arg(long)]
    allow_unread: bool,
    /// Prints the JSON Schema of a policy file, for editors, of report.json or of a world, and ends.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "policy", value_name = "OF")]
    schema: Option<Schema>,
}

/// Worlds that were read, by the names of their files.
type Worlds = Vec<(String, Result<World, DocumentError>)>;

/// What has a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Schema {
    /// A policy file.
    Policy,
    /// What replay and compare write.
    Report,
    /// A world of `compare --world`.
    World,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if let Some(of) = self.schema {
            let schema = match of {
                Schema::Policy => check::schema(),
                Schema::Report => report::schema(),
                Schema::World => World::schema(),
            };
            say!("{schema}");
            return Ok(ExitCode::SUCCESS);
        }
        let mut verdicts = Vec::new();
        let mut all = Vec::new();
        let mut unreadable = false;
        let (worlds, files) = self.worlds();
        for (name, read) in worlds {
            let problem = read.as_ref().err().map(ToString::to_string);
            verdicts.push(match problem {
                None => Verdict::Valid,
                Some(_) => Verdict::Invalid,
            });
            if self.json {
                let verdict = verdicts.last();
                all.push(
                    json!({"file": name, "verdict": verdict, "is": "world", "problem": problem}),
                );
                continue;
            }
            match read {
                Ok(world) => {
                    let services = counted(world.services.len() as u64, "service");
                    say!("{name}: valid, a world with {services} for seawall compare --world");
                }
                Err(error) => {
                    say!("{name}: error: {error}");
                    say!("{name}: not valid, a world");
                }
            }
        }
        for (name, findings) in self.findings(&files)? {
            let findings = match findings {
                Ok(findings) => findings,
                Err(error) => {
                    unreadable = true;
                    eprintln!("seawall: {name}: {error:#}");
                    let problem = format!("{error:#}");
                    all.push(json!({"file": name, "verdict": "unreadable", "problem": problem}));
                    continue;
                }
            };
            verdicts.push(self.counted(&findings));
            if self.json {
                let verdict = findings.verdict();
                all.push(json!({"file": name, "verdict": verdict, "findings": findings}));
            } else {
                print(&name, &findings);
            }
        }
        if self.json {
            say!("{}", serde_json::to_string_pretty(&all)?);
        }
        let code = if unreadable {
            super::BAD_INPUT
        } else if verdicts.contains(&Verdict::Invalid) {
            super::FAILED
        } else if verdicts.contains(&Verdict::Incomplete) {
            INCOMPLETE
        } else {
            0
        };
        Ok(ExitCode::from(code))
    }

    /// The files that are worlds of a simulation, read; and all others.
    fn worlds(&self) -> (Worlds, Vec<&PathBuf>) {
        let mut worlds = Vec::new();
        let mut others = Vec::new();
        for file in &self.files {
            // Standard input can be read once.
            let read = match file == Path::new("-") {
                true => None,
                false => text(file).ok(),
            };
            match read.filter(|text| is_world(text)) {
                Some(text) => worlds.push((file.display().to_string(), World::read(&text))),
                None => others.push(file),
            }
        }
        (worlds, others)
    }

    /// What is found in each file, or why it cannot be read; or what is found in all of them together.
    fn findings(
        &self,
        files: &[&PathBuf],
    ) -> anyhow::Result<Vec<(String, anyhow::Result<Findings>)>> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let documents = |file: &Path| Ok(check::parse(&text(file)?)?);
        let named = files.iter().map(|file| (file.display().to_string(), file));
        if self.together {
            let mut files = Vec::new();
            for (name, file) in named {
                let documents: anyhow::Result<_> = documents(file);
                files.push((name.clone(), documents.context(name)?));
            }
            return Ok(vec![("together".to_owned(), Ok(check::together(files)))]);
        }
        let alone = |documents| check::together(vec![(String::new(), documents)]);
        Ok(named
            .map(|(name, file)| (name, documents(file).map(alone)))
            .collect())
    }

    /// What a file's verdict counts for. Where nothing was read at all there is nothing that could be valid.
    fn counted(&self, findings: &Findings) -> Verdict {
        match findings.verdict() {
            Verdict::Incomplete if self.allow_unread && findings.configurations > 0 => {
                Verdict::Valid
            }
            verdict => verdict,
        }
    }
}

/// Whether a text is meant as a world: it has one of a world's keys, and nothing by which Seawall's policies, Envoy's and Kubernetes' files are
/// known.
fn is_world(text: &str) -> bool {
    const OTHERS: [&str; 6] = [
        "policies",
        "static_resources",
        "resources",
        "configs",
        "kind",
        "apiVersion",
    ];
    let Ok(documents) = check::parse(text) else {
        return false;
    };
    let [document] = documents.as_slice() else {
        return false;
    };
    let has = |keys: &[&str]| keys.iter().any(|key| document.get(key).is_some());
    has(&["version"]) && has(&["services", "clients", "edge", "entry", "faults"]) && !has(&OTHERS)
}

/// What stands in a file, or in standard input. No more is read than is judged.
fn text(file: &Path) -> anyhow::Result<String> {
    match file == Path::new("-") {
        true => bounded(std::io::stdin().lock(), check::BYTES_MAX),
        false => bounded(std::fs::File::open(file)?, check::BYTES_MAX),
    }
}

fn bounded(from: impl Read, most: usize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(most)?.saturating_add(1);
    from.take(one_more).read_to_end(&mut bytes)?;
    ensure!(bytes.len() <= most, "longer than {most} bytes");
    String::from_utf8(bytes).map_err(|_| anyhow!("not written in UTF-8"))
}

fn print(file: &str, findings: &Findings) {
    for (kind, found) in [
        ("error", &findings.errors),
        ("warning", &findings.warnings),
        ("not read", &findings.unread),
    ] {
        for Finding { path, problem } in found.iter().take(PRINTED_MAX) {
            match path.as_str() {
                "" => say!("{file}: {kind}: {problem}"),
                path => say!("{file}: {kind}: {path}: {problem}"),
            }
        }
        if let Some(more) = found
            .len()
            .checked_sub(PRINTED_MAX)
            .filter(|more| *more > 0)
        {
            say!("{file}: {kind}: and {more} more; --json has them all");
        }
    }
    let count = match findings.configurations {
        0 => "no configuration".to_owned(),
        1 => "1 configuration".to_owned(),
        count => format!("{count} configurations"),
    };
    match findings.verdict() {
        Verdict::Valid => say!("{file}: valid, {count}"),
        Verdict::Incomplete => say!(
            "{file}: incomplete, {count} without an error; {} not read",
            match findings.unread.len() {
                1 => "1 place was".to_owned(),
                places => format!("{places} places were"),
            }
        ),
        Verdict::Invalid => say!("{file}: not valid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_told_from_all_else() {
        for (text, expected) in [
            ("version: 1\nservices: {a: {}}", true),
            ("version: 1\nclients: {tries: 3}", true),
            ("version: 1\npolicies: {default: {}}", false),
            ("services: {a: {image: b}}", false),
            ("kind: Service\nversion: 1\nservices: {}", false),
            ("version: 1\nservices: {}\n---\nversion: 1", false),
            ("{", false),
        ] {
            assert_eq!(is_world(text), expected, "{text}");
        }
    }

    #[test]
    fn no_more_is_read_than_the_bound_and_one() {
        assert_eq!(bounded(&b"abc"[..], 3).unwrap(), "abc");
        // It has no end.
        let error = bounded(std::io::repeat(b'a'), 1_000).unwrap_err();
        assert_eq!(error.to_string(), "longer than 1000 bytes");
        let error = bounded(&[0xff, 0xfe, b'a', 0][..], 10).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }
}
