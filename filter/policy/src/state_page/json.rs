//! JSON written by hand: objects of numbers and names. A serialiser of any value would weigh more than the whole page.

use crate::text;

/// JSON in the making. A comma goes before whatever does not come first.
///
/// Bytes, since only bytes of ASCII are put in the place of others: what was text stays text.
#[derive(Clone, Debug, Default)]
pub struct Json(Vec<u8>);

impl Json {
    /// The bytes so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push(b'\n');
        self.0
    }

    /// Begins an object or a list, as the bracket says.
    pub(super) fn begin(&mut self, bracket: u8) {
        self.part();
        self.0.push(bracket);
    }

    /// Ends it.
    pub(super) fn end(&mut self, bracket: u8) {
        self.0.push(bracket);
    }

    #[inline(never)]
    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.0.extend_from_slice(text::written(number).as_bytes());
    }

    #[inline(never)]
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    #[inline(never)]
    pub(super) fn key(&mut self, key: &str) {
        self.part();
        self.quoted(key);
        self.0.push(b':');
    }

    fn part(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
    }

    /// Text as RFC 8259 has it, section 7; what HTML could take for markup is escaped besides.
    #[inline(never)]
    fn quoted(&mut self, text: &str) {
        let digit = |number: u8| match number & 15 {
            low @ 0..10 => low.wrapping_add(b'0'),
            high => high.wrapping_add(b'a').wrapping_sub(10),
        };
        self.0.push(b'"');
        for byte in text.bytes() {
            match byte {
                0..b' ' | b'"' | b'\\' | b'<' | b'>' | b'&' | 0x7f => {
                    let escaped = [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)];
                    self.0.extend_from_slice(&escaped);
                }
                _ => self.0.push(byte),
            }
        }
        self.0.push(b'"');
    }
}
