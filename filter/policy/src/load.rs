//! What an upstream says of its own load.

use crate::time::Timestamp;

/// The last that was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How much of it is used, in basis points.
    pub utilisation: u32,
    /// When it was heard.
    pub at: Timestamp,
}
