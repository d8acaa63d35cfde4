//! The raw ABI of this crate says what Envoy's says: `signatures.h` holds the part of Envoy's header that is used.
//!
//! A function with another order of arguments would link, load, and read memory that is not there.

use std::collections::BTreeMap;

const HEADER: &str = include_str!("signatures.h");
const ABI: &str = include_str!("../src/abi/types.rs");
const RAW: &str = include_str!("../src/abi/raw.rs");
const EXPORTS: &str = include_str!("../src/exports.rs");

/// Types of a result and of the arguments, by the function's name without the common prefix.
type Signatures = BTreeMap<String, (String, Vec<String>)>;

fn c_type(written: &str) -> String {
    let written = written.trim();
    let (word, stars) = match written.split_once([' ', '*']) {
        Some((word, _)) => (word, written.matches('*').count()),
        None => (written, 0),
    };
    let plain = match word {
        "filter" | "config" | "scheduler" => "*mut c_void",
        "loaded" | "stream" => "*const c_void",
        "cstring" => "*const c_char",
        "buffer" => "ModuleBuffer",
        "lent" => "EnvoyBuffer",
        "header" => "ModuleHeader",
        "lent_header" => "EnvoyHeader",
        "timing" => "Timing",
        "size_t" => "usize",
        "void" => "()",
        other => other,
    };
    format!("{}{plain}", "*".repeat(stars))
}

fn of_header() -> Signatures {
    let lines = HEADER.lines().filter(|line| line.ends_with(");"));
    lines
        .map(|line| {
            let (head, arguments) = line.trim_end_matches(");").split_once('(').unwrap();
            let (result, name) = head.rsplit_once(' ').unwrap();
            let arguments = arguments.split(',').filter(|one| !one.trim().is_empty());
            (
                name.to_owned(),
                (c_type(result), arguments.map(c_type).collect()),
            )
        })
        .collect()
}

/// A type of Rust's: pointers to pointers count alike, whether what they point to may be changed or not.
fn rust_type(written: &str) -> String {
    let written = written.trim();
    let written = written
        .split_once(": ")
        .map_or(written, |(_, of)| of.trim());
    match written {
        "*mut c_void" | "*const c_void" | "*const c_char" => written.to_owned(),
        other => other.replace("*mut ", "*").replace("*const ", "*"),
    }
}

/// All functions in `text` whose names begin so, with the text between their parentheses and what follows.
fn of_rust(text: &str, found: &mut Signatures) {
    const PREFIX: &str = "envoy_dynamic_module_";
    for (at, _) in text.match_indices(PREFIX) {
        let rest = &text[at + PREFIX.len()..];
        let end = rest
            .find(|next: char| !next.is_ascii_lowercase() && next != '_' && !next.is_ascii_digit());
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let before = text[..at].trim_end();
        let is_declared =
            before.ends_with("fn") || before.ends_with(':') || text[..at].ends_with("    ");
        let Some((arguments, rest)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'))
        else {
            continue;
        };
        if !is_declared {
            continue;
        }
        let arguments = arguments.split(',').filter(|one| !one.trim().is_empty());
        let end = rest.find([';', '{']).unwrap_or(rest.len());
        let result = rest[..end].trim().strip_prefix("->").unwrap_or("()");
        let known = found.insert(
            name.to_owned(),
            (rust_type(result), arguments.map(rust_type).collect()),
        );
        assert!(known.is_none(), "{name} stands twice");
    }
}

#[test]
fn every_function_has_the_signature_that_envoy_gives_it() {
    let mut ours = Signatures::new();
    let (imports, by_name) = RAW.split_once("macro_rules! by_name").unwrap();
    let (_, by_name) = by_name.split_once("\nby_name! {").unwrap();
    of_rust(imports, &mut ours);
    of_rust(by_name, &mut ours);
    of_rust(EXPORTS, &mut ours);
    let theirs = of_header();
    assert!(theirs.len() > 55, "{}", theirs.len());
    for (name, signature) in &theirs {
        assert_eq!(ours.get(name), Some(signature), "{name}");
    }
    let unknown: Vec<_> = ours
        .keys()
        .filter(|name| !theirs.contains_key(*name))
        .collect();
    assert!(unknown.is_empty(), "not in signatures.h: {unknown:?}");
}

/// Numbers of an enum, by their names; one without a number is the one before it and one more.
fn numbers(text: &str) -> BTreeMap<String, u32> {
    let mut next = 0;
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let lines: String = lines.collect();
    let entries = lines
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, number) = entry.split_once('=').unwrap_or((entry, ""));
            let number = number.trim().parse().unwrap_or(next);
            next = number + 1;
            (name.trim().to_owned(), number)
        })
        .collect()
}

#[test]
fn every_number_is_the_one_that_envoy_gives_it() {
    for (theirs, ours) in [
        ("enum level {", "enum Level {"),
        ("enum map {", "enum Map {"),
        ("enum attribute {", "enum Attribute {"),
    ] {
        let body = |text: &str, head: &str| {
            let (_, rest) = text.split_once(head).unwrap();
            numbers(rest.split_once('}').unwrap().0)
        };
        let ours = body(ABI, ours);
        assert!(ours.len() >= 3);
        assert_eq!(body(HEADER, theirs), ours, "{theirs}");
    }
}
