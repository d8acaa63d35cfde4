//! Where a log comes from: a file or standard input, packed or not, and whatever a container's runtime put around its lines.
//!
//! Everything is read once, from the front, and nothing is kept but a bounded piece: the head, by which formats are told
//! apart, and a line.

mod elements;
mod lines;
mod prefix;
mod unwrap;

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

pub(super) use lines::{Lines, Next};

/// So much of the beginning is looked at before anything is read, in bytes: what a proxy writes of itself may come first.
const HEAD: u64 = 4 * 1024 * 1024;
/// No line is longer, and no record of an array, in bytes.
const LINE_MAX: usize = 1024 * 1024;
const BOM: &[u8] = b"\xEF\xBB\xBF";
const GZIP: &[u8] = b"\x1F\x8B";
/// How files begin that other programs have packed, and how each is unpacked.
const OTHERS: [(&[u8], &str, &str); 4] = [
    (b"\x28\xB5\x2F\xFD", "zstd", "zstd -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
    (b"\xFD7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
];

/// Gives an error once, at the place where it was found, and no byte.
struct Damage(Option<std::io::Error>);

impl Read for Damage {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// A log that was opened.
pub struct Input<'a> {
    reader: Box<dyn BufRead + 'a>,
    head: Arc<[u8]>,
    packed: bool,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("packed", &self.packed)
            .finish_non_exhaustive()
    }
}

impl<'a> Input<'a> {
    /// From a file, or from standard input (`-`), through `watch`, which sees every byte as it is stored.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn open(
        path: &Path,
        watch: impl FnOnce(Box<dyn Read + 'a>, Option<u64>) -> Box<dyn Read + 'a>,
    ) -> std::io::Result<Self> {
        if path == Path::new("-") {
            return Self::of(watch(Box::new(std::io::stdin()), None));
        }
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let length = meta.is_file().then_some(meta.len());
        Self::of(watch(Box::new(file), length))
    }

    /// From any bytes.
    ///
    /// # Errors
    /// If its beginning cannot be read.
    pub fn of(input: impl Read + 'a) -> std::io::Result<Self> {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let begin = input.fill_buf()?;
        let packed = begin.starts_with(GZIP);
        if let Some((_, name, how)) = OTHERS.iter().find(|(magic, ..)| begin.starts_with(magic)) {
            let problem = format!(
                "it is packed with {name}, and gzip alone is unpacked: pipe it in ({how} FILE | seawall ... -)"
            );
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                problem,
            ));
        }
        let mut plain: Box<dyn Read + 'a> = match packed {
            true => Box::new(MultiGzDecoder::new(input)),
            false => Box::new(input),
        };
        let mut head = Vec::new();
        let read = plain.by_ref().take(HEAD).read_to_end(&mut head);
        // What is wrong with packed bytes is told when it is reached. Asked again, the decoder would say that they ended.
        let damage = match read {
            Ok(_) => None,
            Err(error) if packed => Some(error),
            Err(error) => return Err(error),
        };
        if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
            let problem = "it is written in UTF-16: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)";
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                problem,
            ));
        }
        if head.starts_with(BOM) {
            head.drain(..BOM.len());
        }
        let head: Arc<[u8]> = head.into();
        let rest = Cursor::new(Arc::clone(&head))
            .chain(Damage(damage))
            .chain(plain);
        Ok(Self {
            reader: Box::new(BufReader::with_capacity(64 * 1024, rest)),
            head,
            packed,
        })
    }

    /// Its first bytes.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether its beginning is all of it.
    pub(super) fn is_short(&self) -> bool {
        self.head.len() < HEAD as usize - BOM.len()
    }

    /// The lines of its beginning that are not empty, without what is around them.
    pub(super) fn first_lines(&self) -> impl Iterator<Item = String> {
        let lines = Lines::new(&*self.head, false);
        let mut lines = lines.of_elements(elements::looks(&self.head));
        std::iter::from_fn(move || {
            loop {
                match lines.next() {
                    Ok(Next::Line { text, .. }) if !text.trim().is_empty() => return Some(text),
                    Ok(Next::Line { .. } | Next::Bad { .. }) => {}
                    Ok(Next::End) | Err(_) => return None,
                }
            }
        })
    }

    /// All of it, line by line, or record by record.
    pub(super) fn lines(self) -> Lines<Box<dyn BufRead + 'a>> {
        let elements = elements::looks(&self.head);
        Lines::new(self.reader, self.packed).of_elements(elements)
    }

    /// All of it as it is.
    pub(super) fn bytes(self) -> Box<dyn BufRead + 'a> {
        self.reader
    }
}
