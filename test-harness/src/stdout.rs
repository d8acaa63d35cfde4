//! What a program prints: a reader that has seen enough ends it quietly, and any other failure is an error.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};

/// As a shell tells of a program that wrote to a closed pipe: 128 and the signal's number.
pub const PIPE_CLOSED: u8 = 141;
/// As for other files that cannot be written.
const UNWRITABLE: u8 = 2;

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::stdout::line(format_args!($($text)*))
    };
}
pub(crate) use say;

/// Prints a line, or ends the program.
pub fn line(text: Arguments<'_>) {
    put(text).unwrap_or_else(|error| end(&error));
}

/// Prints text that has its line ends, or ends the program.
pub fn text(text: &str) {
    bytes(text.as_bytes()).unwrap_or_else(|error| end(&error));
}

/// Prints a line, for a program that has something to tidy up before it ends.
///
/// # Errors
/// If it cannot be written.
pub fn put(text: Arguments<'_>) -> std::io::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints bytes as they are.
///
/// # Errors
/// If they cannot be written.
pub fn bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

/// Ends the program for what could not be written.
pub fn end(error: &Error) -> ! {
    if error.kind() != ErrorKind::BrokenPipe {
        let program = std::env::args().next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        eprintln!("{name}: standard output: {error}");
        std::process::exit(UNWRITABLE.into());
    }
    std::process::exit(PIPE_CLOSED.into())
}
