//! From bytes to a tree, by recursive descent.

use std::fmt;

use super::{DEPTH_MAX, Object, Value};
use crate::decimal;

/// What is no JSON, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    what: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, line, column } = self;
        write!(f, "{what} at line {line} column {column}")
    }
}

/// Reads one value and nothing behind it. A key that stands twice means what it meant last.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Wrong> {
    let mut reader = Reader {
        bytes,
        at: 0,
        what: "",
    };
    let value = reader.value(0);
    let value = value.filter(|_| reader.peek().is_none() || reader.refuse("expected the end"));
    value.ok_or_else(|| reader.wrong())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What is wrong at `at`, once something is.
    what: &'static str,
}

impl Reader<'_> {
    fn wrong(&self) -> Wrong {
        let before = self.bytes.get(..self.at).unwrap_or(self.bytes);
        let (mut line, mut column) = (1_usize, 1_usize);
        for byte in before {
            column = column.saturating_add(1);
            if *byte == b'\n' {
                (line, column) = (line.saturating_add(1), 1);
            }
        }
        Wrong {
            what: self.what,
            line,
            column,
        }
    }

    /// Notes what is wrong here; `false`, so that it can stand in a condition.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, what: &'static str) -> bool {
        self.what = what;
        false
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no space.
    #[inline(never)]
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at = self.at.saturating_add(1);
        }
        self.byte()
    }

    /// Takes this byte if it is the next one.
    #[inline(never)]
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == Some(byte);
        self.at = self.at.saturating_add(usize::from(is_next));
        is_next
    }

    /// The same, behind spaces.
    fn eat(&mut self, byte: u8) -> bool {
        self.peek();
        self.take(byte)
    }

    #[inline(never)]
    fn expect(&mut self, byte: u8, what: &'static str) -> Option<()> {
        (self.eat(byte) || self.refuse(what)).then_some(())
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        let deeper = depth.saturating_add(1);
        if depth > DEPTH_MAX {
            self.refuse("too deep");
            return None;
        }
        match self.peek() {
            Some(b'{') => self.object(deeper),
            Some(b'[') => self.list(deeper),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: u32) -> Option<Value> {
        let mut object = Object::default();
        self.take(b'{');
        if self.eat(b'}') {
            return Some(Value::Object(object));
        }
        loop {
            self.peek();
            let key = self.text()?;
            self.expect(b':', "expected \":\"")?;
            let value = self.value(depth)?;
            let Some(place) = object.entry(key) else {
                self.refuse("too many keys");
                return None;
            };
            *place = value;
            if !self.eat(b',') {
                self.expect(b'}', "expected \",\" or \"}\"")?;
                return Some(Value::Object(object));
            }
        }
    }

    fn list(&mut self, depth: u32) -> Option<Value> {
        let mut list = Vec::new();
        self.take(b'[');
        if self.eat(b']') {
            return Some(Value::List(list));
        }
        loop {
            list.push(self.value(depth)?);
            if !self.eat(b',') {
                self.expect(b']', "expected \",\" or \"]\"")?;
                return Some(Value::List(list));
            }
        }
    }

    fn word(&mut self) -> Option<Value> {
        let rest = self.bytes.get(self.at..)?;
        let words: [(&str, Value); 3] = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ];
        for (word, value) in words {
            if rest.starts_with(word.as_bytes()) {
                self.at = self.at.saturating_add(word.len());
                return Some(value);
            }
        }
        self.refuse("expected a value");
        None
    }

    /// Takes digits; whether there were any.
    #[inline(never)]
    fn digits(&mut self) -> bool {
        let from = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at = self.at.saturating_add(1);
        }
        self.at > from
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.take(b'-');
        let from = self.at;
        let whole = self.take(b'0') || self.digits();
        let fraction = !self.take(b'.') || self.digits();
        let power = !(self.take(b'e') || self.take(b'E')) || {
            let _ = self.take(b'-') || self.take(b'+');
            self.digits()
        };
        if !whole || !fraction || !power {
            self.refuse("expected a digit");
            return None;
        }
        let number = decimal::billionths(self.bytes.get(from..self.at)?);
        let usable = |number: &u64| *number < u64::MAX && (!negative || *number == 0);
        Some(Value::Number(number.filter(usable)))
    }

    fn text(&mut self) -> Option<String> {
        let mut text = Vec::new();
        if !self.take(b'"') {
            self.refuse("expected a text in quotes");
            return None;
        }
        loop {
            let rest = self.bytes.get(self.at..)?;
            let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..b' ');
            let length = rest.iter().take_while(|byte| plain(byte)).count();
            text.extend_from_slice(rest.get(..length)?);
            self.at = self.at.saturating_add(length);
            if self.take(b'"') {
                break;
            }
            if !self.take(b'\\') {
                self.refuse("a text without an end");
                return None;
            }
            let Some(letter) = self.escaped() else {
                self.refuse("unknown escape");
                return None;
            };
            text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let text = String::from_utf8(text).ok();
        if text.is_none() {
            self.refuse("a text that is no UTF-8");
        }
        text
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Option<char> {
        let byte = self.byte()?;
        self.at = self.at.saturating_add(1);
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code(),
            _ => return None,
        })
    }

    /// Four digits, or twice four for what is beyond 16 bits (RFC 8259, section 7).
    fn code(&mut self) -> Option<char> {
        let first = self.four()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.take(b'\\') || !self.take(b'u') {
            return None;
        }
        let second = self.four()?.checked_sub(0xdc00)?;
        let high = first.checked_sub(0xd800)?.saturating_mul(0x400);
        (second < 0x400)
            .then(|| high.saturating_add(second).saturating_add(0x1_0000))
            .and_then(char::from_u32)
    }

    #[inline(never)]
    fn four(&mut self) -> Option<u32> {
        let mut code = 0_u32;
        for _ in 0..4 {
            let digit = char::from(self.byte()?).to_digit(16)?;
            self.at = self.at.saturating_add(1);
            code = (code << 4) | digit;
        }
        Some(code)
    }
}
