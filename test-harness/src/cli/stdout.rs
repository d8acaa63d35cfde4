//! What a command prints: a reader that has seen enough ends it quietly, and any other failure is an error.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use super::BAD_INPUT;

/// As a shell tells of a program that wrote to a closed pipe: 128 and the signal's number.
const PIPE_CLOSED: i32 = 141;

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::stdout::line(format_args!($($text)*))
    };
}
pub(super) use say;

pub(super) fn line(text: Arguments<'_>) {
    put(|out| writeln!(out, "{text}"));
}

/// Prints text that has its line ends.
pub(super) fn text(text: &str) {
    put(|out| out.write_all(text.as_bytes()));
}

fn put(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
    let mut out = std::io::stdout().lock();
    let Err(error) = write(&mut out).and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(PIPE_CLOSED);
    }
    eprintln!("seawall: standard output: {error}");
    std::process::exit(BAD_INPUT.into());
}
