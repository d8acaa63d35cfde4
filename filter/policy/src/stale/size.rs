//! How large a stored response may be.

use crate::shared::envelope::HEADER;

/// No slot holds more, in bytes, key and headers included: up to here a set costs a microsecond and a get three, a
/// megabyte holds the process's lock for fifty.
pub const SLOT_BYTES_MAX: usize = 64 * 1_024;
/// What has the same width in every slot.
const FIXED: usize = HEADER + 1 + 3 * 8 + 2 + 2 + 3 * 4;

/// How many bytes are left for the body beside key, variant and header lines; `None` if those alone are too many.
pub(super) fn room_for_body(
    key: &[u8],
    variant: &[u8],
    headers: &[(Vec<u8>, Vec<u8>)],
) -> Option<usize> {
    let lines = headers.iter().fold(0_usize, |sum, (name, value)| {
        sum.saturating_add(name.len())
            .saturating_add(value.len())
            .saturating_add(8)
    });
    let overhead = FIXED
        .saturating_add(key.len())
        .saturating_add(variant.len())
        .saturating_add(lines);
    SLOT_BYTES_MAX.checked_sub(overhead)
}
