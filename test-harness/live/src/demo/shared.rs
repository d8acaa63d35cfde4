//! What all lanes share: the parts of a page, and what Envoy and Seawall are both told.

/// The parts of a page; the last is optional.
pub(super) const PARTS: [&str; 3] = ["users", "orders", "recommendations"];
/// The part that a page can do without.
pub(super) const OPTIONAL: &str = "recommendations";
/// The time that a request has, on both lanes that have limits.
pub(super) const TOTAL: &str = "1s";
/// What stands in for the optional part, on both.
pub(super) const NOTHING: &str = r#"{"items":[]}"#;
