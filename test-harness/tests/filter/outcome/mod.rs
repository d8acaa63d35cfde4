//! Who is to blame for the end of a request.

mod failures;
mod late;
mod local_replies;
mod long_polls;
mod one_peer;
mod open_streams;
mod silence;
