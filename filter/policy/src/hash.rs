//! A short hash of bytes.

/// FNV-1a (Fowler, Noll, Vo), brought to a good spread by MurmurHash3's finaliser; never 0.
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    let sum = (sum ^ (sum >> 16)).wrapping_mul(0x85eb_ca6b);
    let sum = (sum ^ (sum >> 13)).wrapping_mul(0xc2b2_ae35);
    (sum ^ (sum >> 16)).max(1)
}
