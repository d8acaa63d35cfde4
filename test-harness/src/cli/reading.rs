//! How a log or a trace is read: what `trace import` and `replay` have in common.

use std::path::Path;

use anyhow::Context;
use clap::Args;

use super::progress;
use crate::report::words::quoted;
use crate::trace::{self, Fields, Format, Input, Options, Request, Summary};

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

    /// Reads all of a log; requests come in the order of their time.
    pub(super) fn all(&self, file: &Path) -> anyhow::Result<(Vec<Request>, Summary)> {
        let mut requests = Vec::new();
        let summary = self.each(file, &mut |request| {
            requests.push(request);
            Ok(())
        })?;
        let requests = trace::bounded(requests).with_context(|| shown(file))?;
        Ok((requests, summary))
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

/// A file's name in errors.
pub(super) fn shown(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}
