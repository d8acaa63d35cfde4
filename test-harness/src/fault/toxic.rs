//! What a fault does to the bytes of a connection, as Toxiproxy's toxics `bandwidth`, `slicer` and `limit_data` do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of the two ways of a connection is hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the host to Envoy: the answer.
    #[default]
    Downstream,
    /// From Envoy to the host: the request.
    Upstream,
}

/// What happens to the bytes. What does not belong to the fault's kind is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Toxic {
    /// The way that is hit.
    #[serde(skip_serializing_if = "Direction::is_default")]
    pub stream: Direction,
    /// With bandwidth: thousands of bytes a second.
    #[serde(skip_serializing_if = "super::is_0")]
    pub rate: u64,
    /// With slicer: the size of a piece in bytes, on average.
    #[serde(skip_serializing_if = "super::is_0")]
    pub average_size: u64,
    /// With slicer: so many bytes more or less.
    #[serde(skip_serializing_if = "super::is_0")]
    pub size_variation: u64,
    /// With limit_data: so many bytes pass.
    #[serde(skip_serializing_if = "super::is_0")]
    pub bytes: u64,
}

impl Direction {
    /// Both, with their names.
    pub(super) const ALL: [(&'static str, Self); 2] = [
        ("downstream", Self::Downstream),
        ("upstream", Self::Upstream),
    ];

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, one)| *one == self)
            .map_or("", |(name, _)| name)
    }
}
