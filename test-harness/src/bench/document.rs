//! Tables that a run writes into a document: what stands between two marks is replaced, and the prose around them stays.

/// A table in Markdown; the first column is text, the others are numbers.
pub fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = line(&header);
    text.push_str("|---|");
    text.push_str(&"---:|".repeat(header.len().saturating_sub(1)));
    text.push('\n');
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

/// The document with this in the place of what stood between the marks of a name.
///
/// # Errors
/// If it has no such marks.
pub fn replaced(document: &str, name: &str, content: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- {name}: written by the run -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let missing = || format!("no marks of \"{name}\": expected a line {begin:?} and then {end:?}");
    let (before, rest) = document.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{content}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_again_and_again() {
        let document = "prose\n<!-- a: written by the run -->\nold\n<!-- a: end -->\nmore\n";
        let once = replaced(document, "a", "new").unwrap();
        assert!(!once.contains("old") && once.contains("new"));
        assert!(once.starts_with("prose\n") && once.ends_with("\nmore\n"));
        assert_eq!(replaced(&once, "a", "new").unwrap(), once);
        assert!(
            replaced(document, "b", "new")
                .unwrap_err()
                .contains("\"b\"")
        );
    }
}
