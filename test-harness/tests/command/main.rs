//! The program, run as users run it.
#![allow(missing_docs, reason = "tests")]

mod around;
mod bench;
mod check;
mod compare;
mod host;
mod printing;
mod report;
mod tune;
