//! From a text to its documents: YAML or JSON, within bounds that hostile texts do not pass.

use serde_json::Value;

/// The longest text that is read.
pub const BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("neither YAML nor JSON: {0}")]
pub struct Unreadable(String);

/// The documents of a YAML or JSON text. A key that stands twice is refused.
///
/// # Errors
/// If the text is neither, or beyond the bounds.
pub fn parse(text: &str) -> Result<Vec<Value>, Unreadable> {
    if text.len() > BYTES_MAX {
        return Err(Unreadable(format!("longer than {BYTES_MAX} bytes")));
    }
    let read = serde_saphyr::from_multiple_with_options(text, bounds());
    let documents: Vec<Value> = read.map_err(|error| {
        let hint = match has_template(text) {
            true => "\nit has marks of a template, such as {{ }}: check what is rendered from it",
            false => "",
        };
        Unreadable(format!("{}{hint}", in_plain_words(&error.to_string())))
    })?;
    let mut documents: Vec<Value> = documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect();
    super::envoy_yaml::apply(text, &mut documents);
    Ok(documents)
}

/// What the readers of YAML and JSON say, without the words that are meant for programmers.
pub(super) fn in_plain_words(problem: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        (
            "there is no policy \"\"",
            "missing: write \"policy\" with the name of one",
        ),
        (
            ", set DuplicateKeyPolicy in Options if acceptable",
            ": a key may stand only once",
        ),
        (
            "expected ident",
            "expected a value: a text in quotes, a number, true, false, null, an object or a list",
        ),
        (
            "rejected by the configured policy",
            "is no number of JSON's",
        ),
        (
            "recursion limit exceeded",
            "more than 100 levels in one another",
        ),
    ];
    let mut plain = problem.to_owned();
    for (theirs, ours) in WORDS {
        plain = plain.replace(theirs, ours);
    }
    // What is counted stands in braces, in the same line.
    while let Some(start) = plain.find("budget breached: ") {
        let rest = &plain[start..];
        let line = rest.find('\n').unwrap_or(rest.len());
        let end = rest[..line].find('}').map_or(line, |end| end + 1);
        let what = match rest[..end].contains("Anchor") || rest[..end].contains("lias") {
            true => "more than a million values by aliases",
            false => "more than is read: 256 MiB, 20 million values, 100 levels",
        };
        plain.replace_range(start..start + end, what);
    }
    plain
}

/// Room for what an Envoy with tens of thousands of clusters tells of itself. What aliases repeat is bounded apart: a
/// few lines could ask for any amount of it.
fn bounds() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 100,
            max_documents: 100_000,
            max_events: 40_000_000,
            max_nodes: 20_000_000,
            max_total_scalar_bytes: BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 1_000_000,
        },
    }
}

/// Whether a text is to be filled in by others: `{{ }}` as in Helm and Jinja, `${NAME}` as in a shell. Neither stands
/// in JSON but within its strings.
pub(super) fn has_template(text: &str) -> bool {
    let between = |open: &str, close: &str| {
        let after = text.split_once(open).map(|(_, after)| after);
        after.is_some_and(|after| after.contains(close))
    };
    between("{{", "}}") || between("${", "}")
}

/// Whether a string somewhere in a value is to be filled in.
pub(super) fn is_template(value: &Value) -> bool {
    any(value, &|text| has_template(text))
}

/// Whether something like a configuration of Seawall stands in a value that is not understood.
pub(super) fn is_suspicious(value: &Value) -> bool {
    let keys = |map: &serde_json::Map<String, Value>| {
        map.contains_key("policies") && map.contains_key("version")
    };
    match value {
        Value::Object(map) => keys(map) || map.values().any(is_suspicious),
        Value::Array(items) => items.iter().any(is_suspicious),
        Value::String(text) => is_suspicious_text(text),
        _ => false,
    }
}

/// The same of a text that could not be read.
pub(super) fn is_suspicious_text(text: &str) -> bool {
    text.contains("filters.http.wasm")
        || (text.contains("policies") && (text.contains("seawall") || text.contains("version")))
}

fn any(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(map) => map.values().any(|inner| any(inner, is)),
        Value::Array(items) => items.iter().any(|inner| any(inner, is)),
        Value::String(text) => is(text),
        _ => false,
    }
}
