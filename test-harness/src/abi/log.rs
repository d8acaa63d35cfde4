//! What is logged: by guests, and by the host itself.

use super::Common;

/// The level of what the host says itself.
const WARN: u32 = 3;

/// A line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, in nanoseconds.
    pub at: u64,
    /// Which VM: 0 is the main thread's, workers count from 1.
    pub vm: usize,
    /// 0 trace to 5 critical.
    pub level: u32,
    /// What it said.
    pub text: String,
}

impl Common {
    /// The host says something itself, in a VM's log.
    pub(crate) fn warn(&self, vm: usize, text: &str) {
        let line = LogLine {
            at: self.now.get(),
            vm,
            level: WARN,
            text: format!("host: {text}"),
        };
        self.log.borrow_mut().push(line);
    }
}
