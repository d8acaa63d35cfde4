//! The formats of logs, one file each, and how they are told apart.

mod alb;
mod columns;
mod dialect;
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

/// Lines by which a format is told: so many must fit it, or all that there are in the beginning.
const SAMPLE: usize = 200;

/// Whether a line looks like one of a format.
type Looks = fn(&str) -> bool;
/// Formats that are known by their lines; JSON is another one.
const KINDS: [(Format, Looks); 5] = [
    (Format::Jsonl, own::looks),
    (Format::K6Json, k6::looks),
    (Format::Envoy, envoy::looks),
    (Format::Alb, alb::looks),
    (Format::Nginx, nginx::looks),
];

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Seawall's own: one JSON object a line.
    #[value(alias = "seawall")]
    Jsonl,
    /// Envoy's and Istio's default text format, all versions of it.
    #[value(alias = "istio")]
    Envoy,
    /// One JSON object a line, or an array of them, of Envoy, Istio, nginx, Caddy, Traefik or anything else; --fields names
    /// keys that are not found.
    #[value(aliases = ["envoy-json", "istio-json", "nginx-json", "caddy", "traefik"])]
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

    /// What a log is, by its beginning: the format that most of the first lines fit that fit any. What a proxy writes of
    /// itself fits none.
    pub fn detect(input: &Input<'_>, fields: &Fields) -> Result<Self, String> {
        if har::looks(input.head()) {
            return Ok(Self::Har);
        }
        let mut json = json::Json::new(fields);
        let mut counts = [0_usize; KINDS.len() + 1];
        let mut first = None;
        let mut objects = false;
        for line in input.first_lines() {
            if first.is_none() {
                if let Some(format) = columns::looks(&line) {
                    return Ok(format);
                }
                first = Some(line.clone());
            }
            for (count, (_, looks)) in counts.iter_mut().zip(KINDS) {
                *count += usize::from(looks(&line));
            }
            let object = json.looks(&line);
            objects |= object.is_some();
            counts[KINDS.len()] += usize::from(object == Some(true));
            if counts.iter().any(|count| *count >= SAMPLE) {
                break;
            }
        }
        let formats = KINDS.iter().map(|(format, _)| *format).chain([Self::Json]);
        let found = formats.zip(counts).filter(|(_, count)| *count > 0);
        // Of several that fit as many lines the first one is meant: the last one is JSON of any kind.
        let best = found.reduce(|best, next| if next.1 > best.1 { next } else { best });
        match (best.map(|(format, _)| format), first) {
            (Some(format), _) => Ok(format),
            (None, None) => Err("it is empty".to_owned()),
            (None, Some(_)) if objects && input.is_short() => Ok(Self::Json),
            (None, Some(first)) => Err(unknown(&first, input.is_short())),
        }
    }
}

/// What is said of a log of no known format.
fn unknown(first: &str, is_whole: bool) -> String {
    let names: Vec<String> = Format::value_variants()
        .iter()
        .map(|format| format.name())
        .collect();
    let beginning = match is_whole {
        true => "",
        false => " by its first 4 MiB, in which no line is one of a request",
    };
    format!(
        "its format cannot be told{beginning}: the first line is \"{}\"; --format names it ({})",
        super::record::short(first),
        names.join(", ")
    )
}

/// Reads the lines of one format.
pub(super) trait Reader {
    /// What a line says, or what is wrong with it.
    fn line(&mut self, text: &str) -> Result<Option<Line>, String>;

    /// Whether a key that `--fields` names stood in any line; none can where a format has no keys.
    fn met(&self, _key: &str) -> bool {
        false
    }
}
