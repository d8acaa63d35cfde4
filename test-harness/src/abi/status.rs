//! The statuses of the interface.

/// Done.
pub const OK: u32 = 0;
/// There is no such thing.
pub const NOT_FOUND: u32 = 1;
/// An argument is not one.
pub const BAD_ARGUMENT: u32 = 2;
/// A pointer leads out of the guest's memory.
pub const INVALID_MEMORY_ACCESS: u32 = 6;
/// There is nothing in it.
pub const EMPTY: u32 = 7;
/// Somebody else swapped first.
pub const CAS_MISMATCH: u32 = 8;
/// The host does not know how.
pub const UNIMPLEMENTED: u32 = 12;
