//! What names a request in a run.

use std::fmt;

/// One try of what a user or a service wants; tries count from 1. Requests of the trace have their place in it as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) request: usize,
    pub(super) client_try: u32,
}

/// What names a request.
pub(super) enum Name<'a> {
    /// Its number in the trace.
    Request(usize),
    /// The call of a service that it is.
    Call(&'a str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(number) => write!(f, "request {number}"),
            Self::Call(name) => f.write_str(name),
        }
    }
}

/// What a try of a client draws from.
pub(super) struct Concern<'a> {
    pub(super) name: Name<'a>,
    pub(super) client_try: u32,
}

impl fmt::Display for Concern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client_try {
            1 => self.name.fmt(f),
            client_try => write!(f, "{} turn {client_try}", self.name),
        }
    }
}
