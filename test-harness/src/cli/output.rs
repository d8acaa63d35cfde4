//! Where a trace goes: standard output, or a file that is there only when all of it is.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::stdout::end;
use crate::trace::{Request, TraceError, Writer};

/// A trace that is being written.
pub(super) struct Output {
    writer: Option<Writer<BufWriter<Box<dyn Write>>>>,
    /// The file, and what it is called until it is whole.
    files: Option<(PathBuf, PathBuf)>,
    /// As errors have it.
    name: String,
    /// Why it could not be written.
    problem: Option<std::io::Error>,
}

impl Output {
    /// Begins a trace. What is no plain file (a pipe, a device) is written to as it is.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let writing = || format!("writing {}", path.display());
        let straight = path == Path::new("-");
        let name = match straight {
            true => "standard output".to_owned(),
            false => path.display().to_string(),
        };
        let plain = std::fs::metadata(path).map_or(true, |meta| meta.is_file());
        let mut files = None;
        let sink: Box<dyn Write> = if straight {
            Box::new(std::io::stdout())
        } else if plain {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".part");
            let part = path.with_file_name(name);
            let file = File::create(&part).with_context(writing)?;
            interrupted(&part).with_context(writing)?;
            files = Some((part, path.to_owned()));
            Box::new(file)
        } else {
            Box::new(
                File::options()
                    .write(true)
                    .open(path)
                    .with_context(writing)?,
            )
        };
        let mut output = Self {
            writer: None,
            files,
            name,
            problem: None,
        };
        output.writer = Some(Writer::new(BufWriter::new(sink)).with_context(writing)?);
        Ok(output)
    }

    /// One request. Why it cannot be written is what [`Self::finish`] says.
    pub(super) fn write(&mut self, request: &Request) -> Result<(), TraceError> {
        let written = self
            .writer
            .as_mut()
            .map_or(Ok(()), |writer| writer.write(request));
        written.map_err(|error| {
            self.problem = Some(error);
            TraceError::Unwritten
        })
    }

    /// What became of writing: nothing if all is well. A reader that has seen enough ends the program.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let Some(error) = self.problem.take() else {
            return Ok(());
        };
        if self.files.is_none() && error.kind() == ErrorKind::BrokenPipe {
            end(&error);
        }
        Err(anyhow::Error::new(error).context(format!("writing {}", self.name)))
    }

    /// The end: the file is there.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let written = self
            .writer
            .take()
            .map_or(Ok(()), |writer| writer.finish().map(drop));
        self.problem = self.problem.take().or(written.err());
        self.check()?;
        if let Some((part, whole)) = self.files.take() {
            std::fs::rename(&part, &whole)
                .with_context(|| format!("writing {}", whole.display()))?;
        }
        Ok(())
    }
}

/// Takes a file away that is not whole when the program is interrupted, and ends it as if nobody had listened.
fn interrupted(part: &Path) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let part = part.to_owned();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let _ = std::fs::remove_file(&part);
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}

impl Drop for Output {
    /// What is not whole is taken away.
    fn drop(&mut self) {
        if let Some((part, _)) = &self.files {
            let _ = std::fs::remove_file(part);
        }
    }
}
