//! Acting on a stream from elsewhere: only on one that waits, since acting on another kills the VM.

use super::{abi, errors};

/// Speaks for this stream until the callback ends; `false` if there is no such stream.
pub(crate) fn speak_for(context: u32) -> bool {
    errors::succeeded("set_effective_context", abi::set_effective_context(context))
}

/// Lets the request that waits go on.
pub(crate) fn resume() {
    errors::succeeded("continue_stream", abi::continue_request());
}
