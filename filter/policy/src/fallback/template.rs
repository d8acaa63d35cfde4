//! Text with a few named places: `{{policy}}`, `{{reason}}` and `{{retry_after}}`.
//!
//! Nothing of the request can stand in an answer of our own, so there is nothing that would have to be escaped: the
//! policy's name and the reason are ours, and the time is a number.

/// What stands in a place.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// Why the answer is not the upstream's.
    pub reason: &'a str,
    /// When another try may be worth it, in whole seconds.
    pub retry_after: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Policy,
    Reason,
    RetryAfter,
}

/// Text with named places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// The names that may stand in double braces.
    pub const NAMES: &'static str = "{{policy}}, {{reason}}, {{retry_after}}";

    /// Reads a text; an unknown name is the error. Double braces around anything but a name are plain text.
    pub fn parse(text: &str) -> Result<Self, &str> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = place(rest) {
            let part = match name {
                "policy" => Part::Policy,
                "reason" => Part::Reason,
                "retry_after" => Part::RetryAfter,
                unknown => return Err(unknown),
            };
            plain.push_str(before);
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
            rest = after;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The text with its places filled.
    pub fn fill(&self, values: &Values<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(plain) => plain,
                Part::Policy => values.policy,
                Part::Reason => values.reason,
                Part::RetryAfter => values.retry_after,
            });
        }
        text
    }

    /// Whether it is nothing but an empty text.
    pub fn is_empty(&self) -> bool {
        let empty = |part: &Part| matches!(part, Part::Text(text) if text.is_empty());
        self.0.iter().all(empty)
    }
}

/// The first place: what stands before it, its name, and what comes after it.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let word = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    let bytes = text.as_bytes();
    for start in 0..bytes.len() {
        let Some(inside) = bytes.get(start..).and_then(|rest| rest.strip_prefix(b"{{")) else {
            continue;
        };
        let length = inside.iter().take_while(|byte| word(byte)).count();
        let closed = inside
            .get(length..)
            .is_some_and(|rest| rest.starts_with(b"}}"));
        if length > 0 && closed {
            let from = start.saturating_add(2);
            let to = from.saturating_add(length);
            let after = to.saturating_add(2);
            return Some((text.get(..start)?, text.get(from..to)?, text.get(after..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUES: Values<'_> = Values {
        policy: "payments",
        reason: "breaker_open",
        retry_after: "7",
    };

    #[track_caller]
    fn filled(text: &str, expected: &str) {
        assert_eq!(Template::parse(text).unwrap().fill(&VALUES), expected);
    }

    #[test]
    fn names_are_filled_in_and_all_else_stays() {
        filled(
            r#"{"why":"{{reason}}","in":{{retry_after}},"of":"{{policy}}"}"#,
            r#"{"why":"breaker_open","in":7,"of":"payments"}"#,
        );
        filled("", "");
        filled("{{reason}}{{reason}}", "breaker_openbreaker_open");
        for plain in [
            r#"{"items":{"a":{}}}"#,
            "{{",
            "}}{{",
            "{{}}",
            "{{ reason }}",
            "{{1}}",
        ] {
            filled(plain, plain);
        }
        filled("{{{reason}}}", "{breaker_open}");
        filled("{{ä{{reason}}", "{{äbreaker_open");
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(Template::parse("a {{header}} b"), Err("header"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[{}a-z ä]{0,40}") {
            let _ = Template::parse(&text);
        }
    }
}
