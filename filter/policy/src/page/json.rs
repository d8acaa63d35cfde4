//! JSON written by hand: objects of numbers and names. A serialiser of any value would weigh more than the whole page.

/// JSON in the making. A comma goes before whatever does not come first.
#[derive(Clone, Debug, Default)]
pub struct Json(String);

impl Json {
    /// The bytes so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('\n');
        self.0
    }

    /// Begins an object or a list, as the bracket says.
    pub(super) fn begin(&mut self, bracket: char) {
        self.part();
        self.0.push(bracket);
    }

    /// Ends it.
    pub(super) fn end(&mut self, bracket: char) {
        self.0.push(bracket);
    }

    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.key(key);
        self.begin('{');
        fill(self);
        self.end('}');
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.0.push_str(&number.to_string());
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    pub(super) fn key(&mut self, key: &str) {
        self.part();
        self.quoted(key);
        self.0.push(':');
    }

    fn part(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(',');
        }
    }

    /// Text as RFC 8259 has it, section 7; what HTML could take for markup is escaped besides.
    fn quoted(&mut self, text: &str) {
        const DIGITS: [char; 16] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
        ];
        let digit = |number: u32| DIGITS.get((number & 15) as usize).copied().unwrap_or('0');
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(letter);
                }
                '\0'..='\x1f' | '<' | '>' | '&' | '\x7f' => {
                    self.0.push_str("\\u00");
                    self.0.push(digit(u32::from(letter) >> 4));
                    self.0.push(digit(u32::from(letter)));
                }
                _ => self.0.push(letter),
            }
        }
        self.0.push('"');
    }
}
