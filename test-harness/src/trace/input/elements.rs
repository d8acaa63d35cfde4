//! The records of JSON arrays, one after the other, however the arrays are written, and objects that have several lines each. A
//! record is cut out by its brackets, and nothing in it is judged.

use std::io::{BufRead, ErrorKind};

use super::LINE_MAX;

/// How a log is cut that begins as an array of objects does, or with an object that has several lines.
pub(super) fn looks(head: &[u8]) -> Option<Elements> {
    let head = head.trim_ascii_start();
    let mut rest = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    let is_array = rest.next() == Some(&b'[') && matches!(rest.next(), Some(b'{' | b']'));
    let line = head.split(|byte| *byte == b'\n').next();
    let lines = head.contains(&b'\n') && line.is_some_and(|line| line.trim_ascii() == b"{");
    (is_array || lines).then(|| Elements {
        floor: usize::from(is_array),
        ..Elements::default()
    })
}

/// Where a scan stands: how many brackets are open, and whether it is within a text.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Where records stand: within the brackets of an array, or within none.
    floor: usize,
    depth: usize,
    text: bool,
    escaped: bool,
}

impl Elements {
    /// What is missing at the end.
    pub(super) fn unfinished(&self) -> Option<&'static str> {
        match (self.depth, self.floor) {
            (0, _) => None,
            (_, 0) => Some("the last object ends without its }: what was written last is missing"),
            _ => Some("the array ends without its ]: what was written last is missing"),
        }
    }

    /// Reads up to the end of a record, on one line; false if it is too long, and then the rest of it is passed by. Nothing
    /// is read at the end, and nothing of a record that is cut there.
    pub(super) fn fill(
        &mut self,
        reader: &mut impl BufRead,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<bool> {
        let mut fits = true;
        loop {
            let bytes = match reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                if self.depth > self.floor {
                    buffer.clear();
                }
                return Ok(fits);
            }
            let mut taken = 0;
            let mut ended = false;
            for byte in bytes {
                taken += 1;
                if self.ends(*byte) {
                    ended = !buffer.is_empty();
                    if ended {
                        break;
                    }
                    continue;
                }
                let blank = !self.text && byte.is_ascii_whitespace();
                if blank && buffer.is_empty() {
                    continue;
                }
                fits &= buffer.len() < LINE_MAX;
                if fits {
                    buffer.push(if blank { b' ' } else { *byte });
                }
                ended = self.floor == 0 && self.depth == 0 && !self.text && *byte == b'}';
                if ended {
                    break;
                }
            }
            reader.consume(taken);
            if ended {
                return Ok(fits);
            }
        }
    }

    /// Whether a byte stands between records: an array's brackets, or a comma in it.
    fn ends(&mut self, byte: u8) -> bool {
        if self.text {
            self.text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => self.text = true,
            b'[' | b'{' => {
                self.depth += 1;
                return self.depth == self.floor && byte == b'[';
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth < self.floor && byte == b']';
            }
            b',' => return self.depth == self.floor,
            _ => {}
        }
        false
    }
}
