//! The formats of logs, one file each, and how they are told apart.

mod alb;
mod columns;
mod envoy;
mod har;
mod json;
mod k6;
mod nginx;
mod words;

use clap::ValueEnum;

use super::fields::Fields;
use super::input::Input;
use super::own;
use super::record::Line;

pub(super) use har::read as read_har;

/// Lines by which a format is told.
const SAMPLE: usize = 200;

/// Whether a line looks like one of a format.
type Looks = fn(&str) -> bool;

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Seawall's own: one JSON object a line.
    #[value(alias = "seawall")]
    Jsonl,
    /// Envoy's and Istio's default text format, all versions of it.
    #[value(alias = "istio")]
    Envoy,
    /// One JSON object a line, of Envoy, Istio, nginx or anything else; --fields names keys that are not found.
    #[value(aliases = ["envoy-json", "istio-json", "nginx-json"])]
    Json,
    /// nginx's and Apache's combined format, with $request_time and $upstream_response_time behind it or without.
    #[value(alias = "combined")]
    Nginx,
    /// The access log of AWS Application Load Balancers.
    Alb,
    /// A HAR file, as browsers save it.
    Har,
    /// k6 run --out json.
    K6Json,
    /// k6 run --out csv.
    K6Csv,
    /// Columns under a line with their names; --fields names columns that are not found.
    Csv,
    /// CSV of Azure's LLM inference traces: TIMESTAMP,ContextTokens,GeneratedTokens; 1 ms of work a generated token.
    Azure,
    /// CSV of Nezha's root spans: start_unix_ns,operation,duration_us,pod.
    Nezha,
}

impl Format {
    /// As `--format` has it.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// In this format a line may lack how long it took, since there is no place for it.
    pub(super) fn untimed(self) -> bool {
        self == Self::Nginx
    }

    /// The reader of its lines; the first line it is given is the log's first. None for those that are not made of lines
    /// of a log.
    pub(super) fn reader(self, fields: &Fields) -> Option<Box<dyn Reader>> {
        Some(match self {
            Self::Jsonl | Self::Har => return None,
            Self::Envoy => Box::new(envoy::Envoy),
            Self::Json => Box::new(json::Json::new(fields)),
            Self::Nginx => Box::new(nginx::Nginx),
            Self::Alb => Box::new(alb::Alb),
            Self::K6Json => Box::new(k6::K6Json),
            Self::K6Csv => Box::new(k6::K6Csv::default()),
            Self::Csv => Box::new(columns::Columns::new(fields)),
            Self::Azure => Box::new(columns::Columns::azure()),
            Self::Nezha => Box::new(columns::Columns::nezha()),
        })
    }

    /// What a log is, by its beginning: the format that most of its first lines fit.
    pub(super) fn detect(input: &Input<'_>) -> Result<Self, String> {
        if har::looks(input.head()) {
            return Ok(Self::Har);
        }
        let sample = input.sample(SAMPLE);
        let Some(first) = sample.first() else {
            return Err("it is empty".to_owned());
        };
        if let Some(format) = columns::looks(first) {
            return Ok(format);
        }
        let kinds: [(Self, Looks); 6] = [
            (Self::Jsonl, own::looks),
            (Self::K6Json, k6::looks),
            (Self::Envoy, envoy::looks),
            (Self::Alb, alb::looks),
            (Self::Nginx, nginx::looks),
            (Self::Json, json::looks),
        ];
        let mut best = None;
        for (format, looks) in kinds {
            let count = sample.iter().filter(|line| looks(line)).count();
            if count > best.map_or(0, |(_, most)| most) {
                best = Some((format, count));
            }
        }
        best.map(|(format, _)| format).ok_or_else(|| {
            let names: Vec<String> = Self::value_variants()
                .iter()
                .map(|format| format.name())
                .collect();
            format!(
                "its format cannot be told: the first line is \"{}\"; --format names it ({})",
                super::record::short(first),
                names.join(", ")
            )
        })
    }
}

/// Reads the lines of one format.
pub(super) trait Reader {
    /// What a line says, or what is wrong with it.
    fn line(&mut self, text: &str) -> Result<Option<Line>, String>;
}
