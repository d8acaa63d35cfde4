//! The state page: how it is written, as JSON for programs and as HTML for browsers, and what a POST to it asks.
//!
//! What stands on it are rows of names and values ([`Row`]); the core fills them. What a request says is read here
//! ([`Call`], [`Order`]), and why it is refused has a name, a status and a sentence here ([`Problem`]). Whether somebody may,
//! and what is then done, the core decides.
//!
//! **Invariants:** whatever stands in a name, it stays text: in JSON, in HTML, in a link, in a header. Every input is
//! bounded.
//!
//! **Architecture invariant:** this crate knows no policy, no breaker and no peer. It is apart so that the compiler can make it
//! small: it runs when an operator looks. What it offers is not inlined, since it would be compiled for speed there.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::too_many_lines
    )
)]
#![forbid(unsafe_code)]

mod answer;
mod call;
mod html;
mod json;
mod order;
mod page;
mod problem;
mod row;
mod url;
mod viewer;

pub use answer::{Answer, forced, refused};
pub use call::{Call, Site};
pub use json::hex;
pub use order::{Action, Order, VALUE_MAX};
pub use page::{BYTES_MAX, Page};
pub use problem::Problem;
pub use row::{Field, Row};
pub use viewer::Viewer;
