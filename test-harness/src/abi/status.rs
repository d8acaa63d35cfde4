//! The statuses of the interface.

/// Done.
pub const OK: u32 = 0;
/// There is no such thing.
pub const NOT_FOUND: u32 = 1;
/// An argument is not one.
pub const BAD_ARGUMENT: u32 = 2;
/// What was found cannot be handed over, as a whole tree of properties.
pub const SERIALIZATION_FAILURE: u32 = 3;
/// What was given cannot be read, as a gRPC service that is neither a message nor a cluster's name.
pub const PARSE_FAILURE: u32 = 4;
/// A pointer leads out of the guest's memory.
pub const INVALID_MEMORY_ACCESS: u32 = 6;
/// There is nothing in it.
pub const EMPTY: u32 = 7;
/// Somebody else swapped first.
pub const CAS_MISMATCH: u32 = 8;
/// It could not be done, as a call to a cluster without hosts.
pub const INTERNAL_FAILURE: u32 = 10;
/// A connection broke.
pub const BROKEN_CONNECTION: u32 = 11;
/// The host does not know how.
pub const UNIMPLEMENTED: u32 = 12;
