//! Counts and names in what a user reads, or types again.

use std::borrow::Cow;

/// A count before a noun: `1 request`, `2 requests`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// A word that a shell reads as it is: in quotes, unless nothing in it means anything to a shell.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''")).into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in [
            "",
            "plain-name_1.jsonl",
            "t'w o.json",
            "p$a.yaml",
            "outbound|80||cart",
            "a;b&c(d)*?[e]{f}~!#\\\"`",
            "\n",
        ] {
            let script = format!("printf %s {}", quoted(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{script}");
        }
        assert_eq!(
            quoted("trace.jsonl"),
            "trace.jsonl",
            "what needs none has none"
        );
    }
}
