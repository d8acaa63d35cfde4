//! From a log to requests, one after the other: nothing is kept of it but the window in which they are put in order.

use super::format::{Reader, read_har};
use super::input::{Input, Next};
use super::record::{Line, Record};
use super::reorder::{Reorder, WINDOW};
use super::spread::Spread;
use super::summary::Summary;
use super::{Fields, Format, REQUESTS_MAX, Request, SPAN_MAX_US, TraceError, own};

/// How long a request takes where the format has no place for it, in microseconds.
const SERVICE_US: u64 = 20_000;

/// How a log is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// What it is; none is found by itself.
    pub format: Option<Format>,
    /// Which keys or columns say what.
    pub fields: Fields,
    /// How long a request takes of which the log does not say it, in microseconds.
    pub service_us: Option<u64>,
    /// The first line that does not fit ends it.
    pub strict: bool,
}

/// What is done with each request.
pub type Sink<'a> = &'a mut dyn FnMut(Request) -> Result<(), TraceError>;

/// Reads a log, and gives each request to `sink`: in the order of their start, but those that the summary calls late.
///
/// # Errors
/// If it cannot be read, its format cannot be told, there is no request in it or there are too many, and, if that is asked
/// for, with the first line that does not fit. In Seawall's own format that is always so.
pub fn import(input: Input<'_>, options: &Options, sink: Sink<'_>) -> Result<Summary, TraceError> {
    let format = match options.format {
        Some(format) => format,
        None => Format::detect(&input, &options.fields).map_err(TraceError::Format)?,
    };
    let mut import = Import {
        summary: Summary::new(format),
        strict: options.strict || format == Format::Jsonl,
        service_us: options
            .service_us
            .or_else(|| format.untimed().then_some(SERVICE_US)),
        spread: Spread::new(WINDOW),
        reorder: Reorder::new(WINDOW),
        first: None,
        sink,
    };
    match format.reader(&options.fields) {
        Some(mut reader) => {
            import.lines(input, reader.as_mut())?;
            import.unmet(&options.fields, |key| reader.met(key));
        }
        None if format == Format::Har => {
            read_har(input.bytes(), &mut |number, line| {
                import.line(number, line.map(Some))
            })?;
            import.unmet(&options.fields, |_| false);
        }
        None => {
            import.own(input)?;
            import.unmet(&options.fields, |_| false);
        }
    }
    import.summary.unused_service_time =
        options.service_us.is_some() && import.summary.untimed.is_none();
    import.end()
}

struct Import<'a> {
    summary: Summary,
    strict: bool,
    service_us: Option<u64>,
    spread: Spread,
    reorder: Reorder,
    /// The first request's start.
    first: Option<u64>,
    sink: Sink<'a>,
}

impl Import<'_> {
    /// Says which keys `--fields` names in vain.
    fn unmet(&mut self, fields: &Fields, met: impl Fn(&str) -> bool) {
        let unmet = fields.keys().filter(|key| !met(key));
        self.summary.unmet = unmet.map(str::to_owned).collect();
    }

    fn lines(&mut self, input: Input<'_>, reader: &mut dyn Reader) -> Result<(), TraceError> {
        let mut lines = input.lines();
        loop {
            match lines.next()? {
                Next::End => return Ok(()),
                Next::Bad { number, problem } => self.bad(number, problem)?,
                Next::Line { text, .. } if text.trim().is_empty() => {}
                Next::Line { number, text } => self.line(number, reader.line(text.trim()))?,
            }
        }
    }

    /// Seawall's own: its times count from its own beginning.
    fn own(&mut self, input: Input<'_>) -> Result<(), TraceError> {
        let mut lines = input.lines();
        loop {
            match lines.next()? {
                Next::End => return Ok(()),
                Next::Bad { number, problem } => self.bad(number, problem)?,
                Next::Line { text, .. } if text.trim().is_empty() => {}
                Next::Line { number, text } => match own::parse(&text) {
                    Ok(None) => {}
                    Ok(Some(request)) => self.give(request)?,
                    Err(problem) => self.bad(number, problem)?,
                },
            }
        }
    }

    fn line(&mut self, number: u64, line: Result<Option<Line>, String>) -> Result<(), TraceError> {
        match line {
            Ok(None) => Ok(()),
            Ok(Some(Line::Left(left))) => {
                self.summary.left(left);
                Ok(())
            }
            Ok(Some(Line::Request(record))) => self.request(number, record),
            Err(problem) => self.bad(number, problem),
        }
    }

    fn request(&mut self, number: u64, mut record: Record) -> Result<(), TraceError> {
        if record.service_us.is_none() {
            let Some(taken) = self.service_us else {
                let problem = "it does not say how long the request took: --fields duration=KEY names what does, --service-time 20ms takes one time for all";
                return self.bad(number, problem.to_owned());
            };
            record.service_us = Some(taken);
            self.summary.untimed.get_or_insert((0, taken)).0 += 1;
        }
        if let Some(name) = record.unknown_priority.take() {
            self.summary.unknown_priorities.get_or_insert((0, name)).0 += 1;
        }
        let ready = self.spread.push(number, record);
        self.reorder(ready)
    }

    fn reorder(&mut self, ready: Vec<(u64, Record)>) -> Result<(), TraceError> {
        for (number, record) in ready {
            if let Some((number, record)) = self.reorder.push(number, record) {
                self.ordered(number, record)?;
            }
        }
        Ok(())
    }

    fn ordered(&mut self, number: u64, record: Record) -> Result<(), TraceError> {
        let first = *self.first.get_or_insert(record.at);
        let at_us = record.at.saturating_sub(first) / 1_000;
        if at_us > SPAN_MAX_US {
            let problem = "it comes more than a year after the first request".to_owned();
            return self.bad(number, problem);
        }
        self.give(Request {
            at_us,
            service_us: record.service_us.unwrap_or(0),
            ..record.request
        })
    }

    fn give(&mut self, request: Request) -> Result<(), TraceError> {
        self.summary.requests += 1;
        if self.summary.requests > REQUESTS_MAX as u64 {
            return Err(TraceError::TooLong);
        }
        self.summary.failed += u64::from(request.failed());
        self.summary.outcomes += u64::from(request.status.is_some() || request.flags.is_some());
        self.summary.length_us = self.summary.length_us.max(request.at_us);
        (self.sink)(request)
    }

    fn bad(&mut self, line: u64, problem: String) -> Result<(), TraceError> {
        if self.strict {
            return Err(TraceError::Line { line, problem });
        }
        self.summary.bad(line, problem);
        Ok(())
    }

    fn end(mut self) -> Result<Summary, TraceError> {
        loop {
            let ready = self.spread.pop();
            if ready.is_empty() {
                break;
            }
            self.reorder(ready)?;
        }
        self.summary.spread = self.spread.spread();
        while let Some((number, record)) = self.reorder.pop() {
            self.ordered(number, record)?;
        }
        self.summary.late = self.reorder.late();
        if self.summary.requests == 0 {
            let remarks = self.summary.remarks();
            let why = if remarks.is_empty() {
                String::new()
            } else {
                format!("\n{}", remarks.trim_end())
            };
            return Err(TraceError::Empty(why));
        }
        Ok(self.summary)
    }
}
