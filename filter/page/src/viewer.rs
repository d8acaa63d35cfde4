//! For whom the page is written.

/// Who looks at the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Whether it gets HTML.
    pub html: bool,
    /// Whether it may force.
    pub forces: bool,
    /// The token that it has to send then, where it has to.
    pub token: Option<String>,
}
