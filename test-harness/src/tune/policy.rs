//! A proposal as a policy file, with comments that say why each value was chosen.

use std::fmt::Write;

use serde_json::Value;

use super::found::{Found, Reason};
use super::objective::{Change, Objective, Values, aims, change};
use super::space::Space;
use crate::report::Figure;

/// The policy file. `about` are lines that come first.
pub fn yaml(space: &Space, objectives: &[Objective], found: &Found, about: &[String]) -> String {
    let mut text = String::new();
    for line in about {
        let _ = writeln!(text, "# {line}");
    }
    text.push_str("version: 1\npolicies:\n  default:");
    let point = &found.best.point;
    if space.written(point).next().is_none() {
        text.push_str(" {}\n");
        return text;
    }
    text.push('\n');
    let mut before: Vec<&str> = Vec::new();
    for (number, setting, value) in space.written(point) {
        let parts: Vec<&str> = setting.path.split('.').collect();
        let (key, parents) = parts.split_last().unwrap_or((&"", &[]));
        let common = parents
            .iter()
            .zip(&before)
            .take_while(|(one, other)| one == other);
        let common = common.count();
        let indent = |depth: usize| "  ".repeat(depth + 2);
        for (depth, parent) in parents.iter().enumerate().skip(common) {
            let _ = writeln!(text, "{}{parent}:", indent(depth));
        }
        let place = indent(parents.len());
        let _ = writeln!(
            text,
            "{place}# {}; default {}.",
            setting.does, setting.default
        );
        let reason = found.reasons.iter().find(|reason| reason.setting == number);
        let _ = writeln!(text, "{place}# {}", why(objectives, found, reason));
        let _ = writeln!(text, "{place}{key}: {}", flow(value));
        before = parents.to_vec();
    }
    text
}

/// What is lost without a setting.
fn why(objectives: &[Objective], found: &Found, reason: Option<&Reason>) -> String {
    let Some(reason) = reason else {
        return "It goes with the others: they contradict its default.".to_owned();
    };
    let moved = compared(objectives, &found.best.values, &reason.without);
    let moved: Vec<String> = moved
        .into_iter()
        .filter(|(_, _, change)| *change != Change::Same)
        .map(|(figure, (with, without), change)| {
            let word = match change {
                Change::Better => ", better",
                _ => "",
            };
            format!("{} {without} in place of {with}{word}", figure.name())
        })
        .collect();
    match moved.is_empty() {
        true => "Without it all figures are a little worse.".to_owned(),
        false => format!("Without it: {}.", moved.join("; ")),
    }
}

/// The aims with two sets of values in words, and how the second compares with the first.
pub fn compared(
    objectives: &[Objective],
    first: &Values,
    second: &Values,
) -> Vec<(Figure, (String, String), Change)> {
    let aims = aims(objectives).into_iter().map(|(figure, _)| figure);
    let values = first.iter().zip(second);
    aims.zip(values)
        .map(|(figure, (first, second))| {
            let shown = |value: &Option<f64>| {
                value.map_or_else(|| "none".to_owned(), |value| figure.unit().shown(value))
            };
            let words = (shown(first), shown(second));
            (figure, words, change(figure, *first, *second))
        })
        .collect()
}

/// A value as YAML on one line.
pub fn flow(value: &Value) -> String {
    match value {
        Value::Object(keys) => {
            let keys = keys.iter();
            let keys: Vec<String> = keys
                .map(|(key, value)| format!("{key}: {}", flow(value)))
                .collect();
            format!("{{{}}}", keys.join(", "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::found::Tried;
    use super::super::objective::DEFAULTS;
    use super::*;
    use crate::check;

    #[test]
    fn the_file_reads_back_as_the_point_and_says_why() {
        let space = Space::of(&[]);
        let tried = |point: &Vec<usize>, success| Tried {
            point: point.clone(),
            values: vec![Some(success), Some(40.0), Some(0.1), None],
            missed: 0.0,
            score: 0.0,
            plays: 3,
        };
        let default = space.default_point();
        for number in 0..space.settings.len() {
            let mut point = default.clone();
            point[number] = usize::from(default[number] == 0);
            point[8] = 1;
            let found = Found {
                default: tried(&default, 90.0),
                best: tried(&point, 95.5),
                reasons: vec![Reason {
                    setting: 8,
                    without: vec![Some(91.25), Some(40.1), Some(0.05), None],
                }],
                tried: Vec::new(),
                plays: 1,
            };
            let text = yaml(&space, &DEFAULTS, &found, &["By hand.".to_owned()]);
            let read = check::parse(&text).unwrap_or_else(|error| panic!("{text}\n{error:#}"));
            assert_eq!(read, [space.configuration(&point)], "{text}");
            let expected = "      open:\n        # the first open time; default 5s.\n        # Without it: success 91.25 % in place of 95.5 %; \
                            sick_load 0.05x in place of 0.1x, better.\n        for: 1s\n";
            assert!(text.contains(expected), "{text}");
        }
        let none = Found {
            default: tried(&default, 90.0),
            best: tried(&default, 90.0),
            reasons: Vec::new(),
            tried: Vec::new(),
            plays: 1,
        };
        let text = yaml(&space, &DEFAULTS, &none, &[]);
        assert_eq!(text, "version: 1\npolicies:\n  default: {}\n");
    }
}
