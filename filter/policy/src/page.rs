//! The state page: what this process knows of every upstream, as JSON, for those who are trusted.

use crate::trust::Trust;

/// Where the page is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its path, exactly.
    pub path: String,
    /// Who may read it; for everybody else it does not exist.
    pub trust: Trust,
}
