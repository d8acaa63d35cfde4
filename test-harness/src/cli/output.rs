//! Where a trace goes: standard output, or a file that is there only when all of it is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::trace::{Request, Writer};

/// A trace that is being written.
pub(super) struct Output {
    writer: Option<Writer<BufWriter<Box<dyn Write>>>>,
    /// The file, and what it is called until it is whole.
    files: Option<(PathBuf, PathBuf)>,
}

impl Output {
    /// Begins a trace. What is no plain file (a pipe, a device) is written to as it is.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let writing = || format!("writing {}", path.display());
        let straight = path == Path::new("-");
        let plain = std::fs::metadata(path).map_or(true, |meta| meta.is_file());
        let mut files = None;
        let sink: Box<dyn Write> = if straight {
            Box::new(std::io::stdout())
        } else if plain {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".part");
            let part = path.with_file_name(name);
            let file = File::create(&part).with_context(writing)?;
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
        };
        output.writer = Some(Writer::new(BufWriter::new(sink)).with_context(writing)?);
        Ok(output)
    }

    /// One request.
    pub(super) fn write(&mut self, request: &Request) -> std::io::Result<()> {
        self.writer
            .as_mut()
            .map_or(Ok(()), |writer| writer.write(request))
    }

    /// The end: the file is there.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let written = self
            .writer
            .take()
            .map_or(Ok(()), |writer| writer.finish().map(drop));
        written.context("writing the trace")?;
        if let Some((part, whole)) = self.files.take() {
            std::fs::rename(&part, &whole)
                .with_context(|| format!("writing {}", whole.display()))?;
        }
        Ok(())
    }
}

impl Drop for Output {
    /// What is not whole is taken away.
    fn drop(&mut self) {
        if let Some((part, _)) = &self.files {
            let _ = std::fs::remove_file(part);
        }
    }
}
