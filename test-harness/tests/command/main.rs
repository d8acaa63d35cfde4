//! The program, run as users run it.
#![allow(missing_docs, reason = "tests")]

mod around;
mod bench;
mod check;
mod host;
mod printing;
