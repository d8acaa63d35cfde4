//! How a log or a trace is read: what `trace import` and `replay` have in common.

use std::path::Path;

use anyhow::Context;
use clap::Args;

use super::progress;
use crate::report::words::quoted;
use crate::trace::{
    self, Adjust, Facts, Fields, Format, HELD_MAX, Input, Options, Request, Source, Summary,
    TraceFile,
};

/// How a log is read.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// What the log is; found by itself if it is not said.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Which key or column says what, where the usual names do not: start, end, duration, upstream, method, path, protocol,
    /// status, grpc_status, flags, cluster, priority. Keys of objects in objects are joined by dots; lengths of time may have a unit.
    #[arg(
        long,
        value_name = "FIELD=KEY[:UNIT],...",
        default_value = "",
        hide_default_value = true
    )]
    fields: Fields,
    /// How long a request takes of which the log does not say it, such as 20ms.
    #[arg(long, value_parser = super::nanos, value_name = "TIME")]
    service_time: Option<u64>,
    /// Ends with 2 at the first line that does not fit; else bad lines are counted, named and left out.
    #[arg(long)]
    strict: bool,
}

impl Reading {
    /// Reads a log, request by request.
    pub(super) fn each(
        &self,
        file: &Path,
        sink: &mut dyn FnMut(Request) -> Result<(), trace::TraceError>,
    ) -> anyhow::Result<Summary> {
        let mut bar = None;
        let input = Input::open(file, |input, length| {
            progress::watched(bar.insert(progress::bytes(length)), input)
        });
        let summary = input
            .map_err(trace::TraceError::from)
            .and_then(|input| trace::import(input, &self.options(), sink));
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        summary.with_context(|| shown(file))
    }

    /// Reads a trace that is to be played, with other times. It is held if it is short, or if it cannot be read in order again.
    pub(super) fn source(&self, file: &Path, adjust: Adjust) -> anyhow::Result<Read> {
        let read = self.read(file, adjust, self.can_be_read_again(file))?;
        match read {
            Some(read) => Ok(read),
            // It was not in order, so all of it is needed.
            None => Ok(self
                .read(file, adjust, false)?
                .context("a trace that is held")?),
        }
    }

    /// Whether a file is of Seawall's own format, and there to be read several times.
    fn can_be_read_again(&self, file: &Path) -> bool {
        if !std::fs::metadata(file).is_ok_and(|meta| meta.is_file()) {
            return false;
        }
        let detected = || {
            let input = Input::open(file, |input, _| input).ok()?;
            Format::detect(&input, &self.fields).ok()
        };
        self.format.or_else(detected) == Some(Format::Jsonl)
    }

    /// Reads a trace; none if it is not in order, and was not held.
    fn read(&self, file: &Path, adjust: Adjust, again: bool) -> anyhow::Result<Option<Read>> {
        let mut facts = Facts::default();
        let mut held = Vec::new();
        let (mut in_order, mut last, mut far) = (true, 0, None);
        let summary = self.each(file, &mut |request| {
            let number = facts.requests + 1;
            trace::reachable(number, &request)?;
            let request = adjust.request(request);
            far = far.take().or(trace::reachable(number, &request).err());
            in_order &= request.at_us >= last;
            last = request.at_us;
            facts.add(&request);
            if !again || facts.requests <= HELD_MAX {
                held.push(request);
            } else {
                held = Vec::new();
            }
            Ok(())
        })?;
        if let Some(far) = far {
            return Err(far).context("with this --speed and --scale");
        }
        let source = if held.len() == facts.requests {
            Source::held(trace::bounded(held).with_context(|| shown(file))?)
        } else if in_order {
            Source::File(TraceFile::new(file, facts.requests, adjust))
        } else {
            return Ok(None);
        };
        Ok(Some(Read {
            source,
            facts,
            summary,
        }))
    }

    /// As arguments of a command that does the same again, after what the format was found to be.
    pub(super) fn arguments(&self, format: Format) -> String {
        let mut line = format!(" --format {}", format.name());
        if !self.fields.is_empty() {
            let fields = self.fields.to_string();
            line.push_str(&format!(" --fields {}", quoted(&fields)));
        }
        if let Some(nanos) = self.service_time {
            line.push_str(&format!(" --service-time {nanos}ns"));
        }
        if self.strict {
            line.push_str(" --strict");
        }
        line
    }

    fn options(&self) -> Options {
        Options {
            format: self.format,
            fields: self.fields.clone(),
            service_us: self.service_time.map(|nanos| nanos / 1_000),
            strict: self.strict,
        }
    }
}

/// A trace that was read.
pub(super) struct Read {
    pub(super) source: Source,
    pub(super) facts: Facts,
    pub(super) summary: Summary,
}

/// A file's name in errors.
pub(super) fn shown(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}
