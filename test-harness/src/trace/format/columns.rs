//! CSV: columns under a line with their names, parted by commas, semicolons or tabs. A row is one line.

use csv_core::{ReadRecordResult, Reader as Core, ReaderBuilder};

use super::json::missing;
use super::{Format, Reader};
use crate::trace::fields::{Fields, Mapper};
use crate::trace::record::Line;

/// Columns of one row.
const COLUMNS: usize = 1_024;

/// What a CSV is, by its first line; none if that names no columns of a trace.
pub(super) fn looks(first: &str) -> Option<Format> {
    let mut rows = Rows::of(first);
    let header = rows.row(first).ok()?;
    let has = |name: &str| header.iter().any(|column| column.trim() == name);
    if has("metric_name") && has("metric_value") && has("timestamp") {
        return Some(Format::K6Csv);
    }
    if has("TIMESTAMP") && has("GeneratedTokens") {
        return Some(Format::Azure);
    }
    if has("start_unix_ns") && has("duration_us") && has("operation") {
        return Some(Format::Nezha);
    }
    // Names of columns are words, and at least one of them is a time.
    let word = |column: &String| {
        let column = column.trim();
        !column.is_empty()
            && column
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.@$ ()".contains(&byte))
    };
    let header = header.iter();
    let names =
        header.clone().all(word) && header.clone().any(|column| column.parse::<f64>().is_err());
    (names && header.len() > 1).then_some(Format::Csv)
}

/// Splits rows.
pub(super) struct Rows {
    core: Core,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl Rows {
    /// With the delimiter that the first line has.
    pub(super) fn of(first: &str) -> Self {
        let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
        let best = [b'\t', b';', b','].into_iter().max_by_key(count);
        Self {
            core: ReaderBuilder::new().delimiter(best.unwrap_or(b',')).build(),
            output: Vec::new(),
            ends: vec![0; COLUMNS],
        }
    }

    /// The columns of a row that has as many as the header.
    pub(super) fn under(&mut self, header: usize, line: &str) -> Result<Vec<String>, String> {
        let row = self.row(line)?;
        match row.len() == header {
            true => Ok(row),
            false => Err(format!(
                "{} columns, where the first line names {header}",
                row.len()
            )),
        }
    }

    /// The columns of a row.
    pub(super) fn row(&mut self, line: &str) -> Result<Vec<String>, String> {
        self.core.reset();
        self.output.resize(line.len() + 1, 0);
        let (result, read, _, ends) =
            self.core
                .read_record(line.as_bytes(), &mut self.output, &mut self.ends);
        if read < line.len() || result != ReadRecordResult::InputEmpty {
            return Err(format!(
                "more than {COLUMNS} columns, or a line's end within the row"
            ));
        }
        // A quote that is open takes the line's end in, and then the row does not end with it.
        let mut spare = [0; 8];
        let (result, _, _, more) = self
            .core
            .read_record(b"\n", &mut spare, &mut self.ends[ends..]);
        if result != ReadRecordResult::Record {
            return Err("a quote is not closed in this line".to_owned());
        }
        let mut from = 0;
        let columns = self.ends[..ends + more].iter().map(|end| {
            let column = self.output.get(from..*end).unwrap_or_default();
            from = *end;
            String::from_utf8_lossy(column).into_owned()
        });
        Ok(columns.collect())
    }
}

/// A reader of columns.
pub(super) struct Columns {
    mapper: Mapper,
    wanted: &'static [&'static str],
    header: Option<(Rows, Vec<String>)>,
}

impl Columns {
    pub(super) fn new(fields: &Fields) -> Self {
        Self {
            mapper: Mapper::new(fields),
            wanted: &[],
            header: None,
        }
    }

    /// The trace has no duration: the work is taken as 1 ms for each generated token, a fast model's pace
    /// (<https://github.com/Azure/AzurePublicDataset>, CC-BY-4.0).
    pub(super) fn azure() -> Self {
        Self::with(
            "start=TIMESTAMP,duration=GeneratedTokens:ms",
            &["TIMESTAMP", "GeneratedTokens"],
        )
    }

    /// Root spans of the Nezha dataset (<https://github.com/IntelligentDDS/Nezha>, MIT).
    pub(super) fn nezha() -> Self {
        let fields = "start=start_unix_ns,duration=duration_us:us,path=operation";
        Self::with(fields, &["start_unix_ns", "operation", "duration_us"])
    }

    fn with(fields: &str, wanted: &'static [&'static str]) -> Self {
        Self {
            wanted,
            ..Self::new(&fields.parse().unwrap_or_default())
        }
    }
}

impl Reader for Columns {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        let Some((rows, header)) = &mut self.header else {
            let mut rows = Rows::of(text);
            let header: Vec<String> = rows
                .row(text)?
                .iter()
                .map(|name| name.trim().to_owned())
                .collect();
            let lacks = self
                .wanted
                .iter()
                .find(|name| !header.iter().any(|column| column == *name));
            if let Some(name) = lacks {
                return Err(format!(
                    "there is no column \"{name}\": expected {}",
                    self.wanted.join(",")
                ));
            }
            self.header = Some((rows, header));
            return Ok(None);
        };
        let row = rows.under(header.len(), text)?;
        let pairs: Vec<(&str, &str)> = header
            .iter()
            .zip(&row)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let found = self.mapper.found(pairs.iter().copied());
        if found.moment.is_none() {
            return Err(missing("time", "start", &pairs));
        }
        found.line().map(Some)
    }

    fn met(&self, key: &str) -> bool {
        self.mapper.met(key)
    }
}
