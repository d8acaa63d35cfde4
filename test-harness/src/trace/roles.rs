//! What a key or column of a log can say.

use super::time::Unit;

/// What a key can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Start,
    End,
    Duration,
    Upstream,
    Method,
    Path,
    Request,
    Protocol,
    Status,
    GrpcStatus,
    Flags,
    Cluster,
    Priority,
    Upgrade,
    ContentType,
}

/// How many there are.
pub(super) const ROLES: usize = 15;

/// What a key says, how well its name fits (0 is best), and its unit where the name has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) rank: usize,
    pub(super) unit: Option<Unit>,
}
