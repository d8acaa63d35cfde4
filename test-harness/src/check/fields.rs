//! The fields of Envoy's messages, as Envoy's own descriptors have them: `envoy_fields.txt`, which `scripts/envoy-fields.py`
//! makes. What a line of it says stands there.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The version of Envoy that the fields are of. Envoy adds fields, and takes none away.
pub(super) const VERSION: &str = "1.40";

/// One field of a message.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// Its name in the definition.
    pub(super) name: &'static str,
    /// Whether it is a map; the kind is that of the values.
    pub(super) is_map: bool,
    /// What stands in it.
    pub(super) kind: Kind,
}

/// What stands in a field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Something that is not judged.
    Any,
    /// A length of time.
    Duration,
    /// One of these words, or its number.
    Word(&'static [&'static str]),
    /// A message of this name.
    Message(&'static str),
}

type Messages = HashMap<&'static str, Vec<Field>>;

/// The fields of a message; `None` where it is not known.
pub(super) fn of(message: &str) -> Option<&'static [Field]> {
    static MESSAGES: OnceLock<Messages> = OnceLock::new();
    let messages = MESSAGES.get_or_init(|| read(include_str!("envoy_fields.txt")));
    messages.get(message).map(Vec::as_slice)
}

/// The field of this name. From camel case no underscore before a digit comes back.
pub(super) fn named(fields: &[Field], name: &str) -> Option<Field> {
    let is = |field: &&Field| field.name == name || same_but_for_digits(field.name, name);
    fields.iter().find(is).copied()
}

fn same_but_for_digits(field: &str, name: &str) -> bool {
    let mut rest = name.bytes();
    let mut bytes = field.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let may_lack = byte == b'_' && bytes.peek().is_some_and(u8::is_ascii_digit);
        if !may_lack && rest.next() != Some(byte) {
            return false;
        }
    }
    rest.next().is_none()
}

fn read(text: &'static str) -> Messages {
    let mut enums: HashMap<&str, &'static [&'static str]> = HashMap::new();
    for line in text.lines() {
        if let Some((name, words)) = line.split_once(" = ") {
            let words: Vec<&str> = words.split(' ').collect();
            enums.insert(name, words.leak());
        }
    }
    let mut messages = Messages::new();
    for line in text.lines().filter(|line| !line.contains(" = ")) {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let fields = words.filter_map(|word| field(word, &enums));
        messages.insert(name, fields.collect());
    }
    messages
}

fn field(word: &'static str, enums: &HashMap<&str, &'static [&'static str]>) -> Option<Field> {
    let (name, kind) = word.split_once(':')?;
    let of = kind.trim_start_matches('*');
    let is_map = of.len() < kind.len();
    let kind = match of {
        "-" => Kind::Any,
        "duration" => Kind::Duration,
        of => match enums.get(of) {
            Some(words) => Kind::Word(words),
            None => Kind::Message(of),
        },
    };
    Some(Field { name, is_map, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_a_field_refers_to_is_known() {
        let messages = read(include_str!("envoy_fields.txt"));
        assert!(messages.len() > 150, "{}", messages.len());
        for (name, fields) in &messages {
            assert!(name.starts_with("envoy."), "{name}");
            for field in fields {
                if let Kind::Message(inner) = field.kind {
                    assert!(
                        messages.contains_key(inner),
                        "{name}.{}: {inner}",
                        field.name
                    );
                }
            }
        }
    }

    #[test]
    fn a_name_from_camel_case_lacks_underscores_before_digits_alone() {
        let fields = of("envoy.config.cluster.v3.OutlierDetection").unwrap();
        for (name, known) in [
            ("consecutive_5xx", true),
            ("consecutive5xx", true),
            ("enforcing_consecutive5xx", true),
            ("consecutive_5x", false),
            ("consecutive5xxx", false),
            ("baseejection_time", false),
        ] {
            assert_eq!(named(fields, name).is_some(), known, "{name}");
        }
    }
}
