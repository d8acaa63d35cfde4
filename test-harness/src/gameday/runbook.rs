//! The runbook of a game day, and when it was last verified.

use std::path::Path;

/// The heading of the section.
const HEADING: &str = "## Last verified";
/// What marks the line that a run writes.
const MARK: &str = "<!-- written by: seawall gameday run -->";

/// Whether a runbook is there, and has the line that a run writes.
pub(super) fn check(file: &Path) -> Result<(), String> {
    last_verified(file).map(drop)
}

/// What a runbook says of when it was last verified: `never`, or a date and a command.
///
/// # Errors
/// If it cannot be read, or has no such line.
pub fn last_verified(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
    let (_, line, _) = parts(&text).ok_or_else(|| {
        format!(
            "{}: expected the section \"{HEADING}\" with a line that ends in {MARK}",
            file.display()
        )
    })?;
    Ok(line.trim().to_owned())
}

/// Writes into a runbook that it was verified on this day by this command.
///
/// # Errors
/// If it has no line for that, or cannot be written.
pub fn verify(file: &Path, day: &str, command: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    last_verified(file)?;
    let text = std::fs::read_to_string(file).map_err(told)?;
    if let Some((before, _, after)) = parts(&text) {
        let whole = format!("{before}{day}: `{command}` {after}");
        std::fs::write(file, whole).map_err(told)?;
    }
    Ok(())
}

/// A runbook's text before what it says, that, and what is behind it.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let section = text.find(&format!("\n{HEADING}\n"))?;
    let mark = section + text.get(section..)?.find(MARK)?;
    let from = text.get(..mark)?.rfind('\n')? + 1;
    Some((text.get(..from)?, text.get(from..mark)?, text.get(mark..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_written_in_the_place_of_the_one_before_and_the_rest_stays() {
        let head = "# Runbook\n\n## Steps\n\n1. See `never`.\n\n## Last verified\n\n";
        let tail = "<!-- written by: seawall gameday run -->\n";
        let text = format!("{head}never {tail}");
        let (before, said, after) = parts(&text).unwrap();
        assert_eq!((before, said.trim(), after), (head, "never", tail));
        let again = format!("{head}2026-01-02: `seawall gameday run x` {tail}");
        let (before, said, after) = parts(&again).unwrap();
        assert_eq!((before, after), (head, tail));
        assert_eq!(said.trim(), "2026-01-02: `seawall gameday run x`");
        assert!(parts("# Runbook\n").is_none());
    }
}
