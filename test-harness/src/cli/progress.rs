//! Bars for what takes a while: on a terminal, nothing elsewhere.

use std::io::{IsTerminal, Read};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of requests.
pub(super) fn requests(length: u64) -> ProgressBar {
    bar(Some(length), "{bar:40} {pos}/{len} requests, {eta} left")
}

/// A bar of rows that are measured.
pub(super) fn rows(length: u64) -> ProgressBar {
    bar(Some(length), "{bar:40} {pos}/{len} measured, {eta} left")
}

/// A bar of plays of a trace.
pub(super) fn plays(length: u64) -> ProgressBar {
    bar(Some(length), "{bar:40} {pos}/{len} plays, {eta} left")
}

/// A bar of storms; without a length, a count.
pub(super) fn storms(length: Option<u64>) -> ProgressBar {
    match length {
        Some(_) => bar(length, "{bar:40} {pos}/{len} storms, {eta} left"),
        None => bar(None, "{spinner} {pos} storms, {elapsed}"),
    }
}

/// A bar of lanes.
pub(super) fn lanes(length: u64) -> ProgressBar {
    bar(Some(length), "{bar:40} {pos}/{len} lanes, {eta} left")
}

/// A bar of seconds that lanes are played in real time.
pub(super) fn seconds(length: u64) -> ProgressBar {
    bar(
        Some(length),
        "{bar:40} {pos}/{len} s of all lanes, {eta} left",
    )
}

/// A bar of bytes that are read; without a length, a count.
pub(super) fn bytes(length: Option<u64>) -> ProgressBar {
    match length {
        Some(_) => bar(length, "{bar:40} {bytes}/{total_bytes} read, {eta} left"),
        None => bar(None, "{spinner} {bytes} read, {bytes_per_sec}"),
    }
}

/// Bytes that move a bar.
pub(super) fn watched<'a>(bar: &ProgressBar, input: Box<dyn Read + 'a>) -> Box<dyn Read + 'a> {
    Box::new(bar.wrap_read(input))
}

fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, target).with_style(style)
}
