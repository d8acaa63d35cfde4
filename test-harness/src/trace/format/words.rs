//! Words between spaces, in quotes or in brackets, as text formats of access logs have them.

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) quoted: bool,
}

/// The words of a line. A quoted one ends at a quote before a space or the end, unless a backslash stands before it.
pub(super) fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (text, quoted, after) = match rest.as_bytes().first() {
            Some(b'"') => quoted(&rest[1..]),
            Some(b'[') => match rest.find(']') {
                Some(end) => (&rest[1..end], false, &rest[end + 1..]),
                None => (rest, false, ""),
            },
            _ => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (&rest[..end], false, &rest[end..])
            }
        };
        words.push(Word { text, quoted });
        rest = after.trim_start();
    }
    words
}

fn quoted(text: &str) -> (&str, bool, &str) {
    let bytes = text.as_bytes();
    let end = (0..bytes.len()).find(|place| {
        let next = bytes.get(place + 1);
        bytes[*place] == b'"'
            && next.is_none_or(|next| *next == b' ')
            && (*place == 0 || bytes[place - 1] != b'\\')
    });
    end.map_or((text, true, ""), |end| {
        (&text[..end], true, &text[end + 1..])
    })
}
