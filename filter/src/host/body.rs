//! The body of an answer, chunk by chunk as it passes. It is looked at and goes on: nothing waits for it.

use super::{abi, errors};

/// The chunk that is passing, of so many bytes; nothing if the host hands out another number.
pub(crate) fn answer_chunk(size: usize) -> Option<Vec<u8>> {
    const ANSWER: u32 = 1;
    let chunk = errors::found("get_buffer_bytes", abi::buffer(ANSWER, size))?;
    (chunk.len() == size).then_some(chunk)
}
