//! Lines of bounded length, whatever the bytes are; what a container's runtime put around them is taken off.

use std::io::{BufRead, ErrorKind};

use super::LINE_MAX;
use super::elements::Elements;
use super::prefix::strip;
use super::unwrap::{Piece, unwrap};

/// Streams of one container whose pieces are put together: standard output and standard error.
const STREAMS: usize = 2;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::trace) enum Next {
    Line { number: u64, text: String },
    Bad { number: u64, problem: String },
    End,
}

/// The lines of a log, or the records of one that is a JSON array or objects on several lines each.
pub(in crate::trace) struct Lines<R> {
    reader: R,
    packed: bool,
    number: u64,
    ended: bool,
    buffer: Vec<u8>,
    /// Where the scan for records stands, if the log is not made of lines.
    elements: Option<Elements>,
    /// Pieces of lines that a runtime has cut, by their stream.
    pieces: Vec<(String, String)>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, packed: bool) -> Self {
        Self {
            reader,
            packed,
            number: 0,
            ended: false,
            buffer: Vec::new(),
            elements: None,
            pieces: Vec::new(),
        }
    }

    /// Records instead of lines.
    pub(super) fn of_elements(self, elements: Option<Elements>) -> Self {
        Self { elements, ..self }
    }

    /// The next line, without its end.
    pub(in crate::trace) fn next(&mut self) -> std::io::Result<Next> {
        loop {
            if self.ended {
                return Ok(self.rest());
            }
            let fits = match self.fill() {
                Ok(fits) => fits,
                Err(error) if self.packed => {
                    self.ended = true;
                    return Ok(Next::Bad {
                        number: self.number + 1,
                        problem: format!("the gzip data ends or breaks here: {error}"),
                    });
                }
                Err(error) => return Err(error),
            };
            if self.buffer.is_empty() && fits {
                self.ended = true;
                if let Some(problem) = self.elements.as_ref().and_then(Elements::unfinished) {
                    return Ok(Next::Bad {
                        number: self.number + 1,
                        problem: problem.to_owned(),
                    });
                }
                continue;
            }
            self.number += 1;
            let number = self.number;
            if !fits {
                return Ok(too_long(number));
            }
            let text = String::from_utf8_lossy(&self.buffer);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            match unwrap(text) {
                Piece::Whole(text) => return Ok(line(number, &text)),
                Piece::Part { stream, text, last } => {
                    if let Some(next) = self.join(stream, &text, last) {
                        return Ok(next);
                    }
                }
            }
        }
    }

    /// Reads up to the end of a line; false if it is too long, and then the rest of it is passed by.
    fn fill(&mut self) -> std::io::Result<bool> {
        self.buffer.clear();
        if let Some(elements) = &mut self.elements {
            return elements.fill(&mut self.reader, &mut self.buffer);
        }
        let mut fits = true;
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                return Ok(fits);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(bytes.len(), |end| end + 1);
            fits &= self.buffer.len() + taken <= LINE_MAX;
            if fits {
                self.buffer.extend_from_slice(&bytes[..taken]);
            }
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(fits);
            }
        }
    }

    /// A piece of a line that a runtime has cut.
    fn join(&mut self, stream: String, text: &str, last: bool) -> Option<Next> {
        let place = self.pieces.iter().position(|(of, _)| *of == stream);
        let Some(place) = place else {
            if last {
                return Some(line(self.number, text));
            }
            if self.pieces.len() >= STREAMS {
                self.pieces.remove(0);
            }
            self.pieces.push((stream, text.to_owned()));
            return None;
        };
        if self.pieces[place].1.len() + text.len() > LINE_MAX {
            self.pieces.remove(place);
            return Some(too_long(self.number));
        }
        self.pieces[place].1.push_str(text);
        last.then(|| line(self.number, &self.pieces.remove(place).1))
    }

    /// A cut line whose last piece never came.
    fn rest(&mut self) -> Next {
        let number = self.number;
        self.pieces
            .pop()
            .map_or(Next::End, |(_, text)| line(number, &text))
    }
}

/// A whole line, without what a collector wrote before it.
fn line(number: u64, text: &str) -> Next {
    Next::Line {
        number,
        text: strip(text).to_owned(),
    }
}

fn too_long(number: u64) -> Next {
    Next::Bad {
        number,
        problem: format!("longer than {LINE_MAX} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Next> {
        let mut lines = Lines::new(text, false);
        let mut all = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::End => return all,
                next => all.push(next),
            }
        }
    }

    #[test]
    fn a_line_beyond_the_bound_is_named_and_the_next_one_is_read() {
        let long = vec![b'x'; LINE_MAX + 1];
        let text = [b"a\r\n", long.as_slice(), b"\nb"].concat();
        assert_eq!(all(&text), [line(1, "a"), too_long(2), line(3, "b")]);
    }

    #[test]
    fn pieces_are_put_together_by_stream_within_the_bound() {
        let cri = "2026-03-01T10:00:00Z stdout P ab\n2026-03-01T10:00:00Z stderr F e\n2026-03-01T10:00:00Z stdout F c\n";
        assert_eq!(all(cri.as_bytes()), [line(2, "e"), line(3, "abc")]);
        let docker = "{\"log\":\"ab\",\"stream\":\"stdout\",\"time\":\"t\"}\n{\"log\":\"c\\n\",\"stream\":\"stdout\",\"time\":\"t\"}\n";
        assert_eq!(all(docker.as_bytes()), [line(2, "abc")]);
        let cut = "2026-03-01T10:00:00Z stdout P ab\n";
        assert_eq!(all(cut.as_bytes()), [line(1, "ab")]);
        let piece = format!(
            "2026-03-01T10:00:00Z stdout P {}\n",
            "x".repeat(LINE_MAX / 2)
        );
        assert_eq!(all(piece.repeat(3).as_bytes()), [too_long(3)]);
    }
}
