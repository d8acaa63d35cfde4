//! A call of the guest past all order: any callback, on any context, with any numbers.

use wasmtime::{Val, ValType};

use super::Process;

impl Process {
    /// Calls an export of a worker's VM (counted from 0) with these numbers, as far as it takes them. Says whether there
    /// is such an export.
    pub fn call_raw(&self, worker: usize, name: &str, numbers: &[u32]) -> bool {
        let Ok(mut vm) = self.inner.vms[worker + 1].try_borrow_mut() else {
            return false;
        };
        self.inner.call_raw(&mut vm, name, numbers)
    }
}

/// As many of the numbers as the export takes.
pub(super) fn values(kinds: impl Iterator<Item = ValType>, numbers: &[u32]) -> Vec<Val> {
    let numbers = numbers.iter().chain(std::iter::repeat(&0));
    kinds
        .zip(numbers)
        .map(|(kind, number)| match kind {
            ValType::I64 => Val::I64(i64::from(*number)),
            _ => Val::I32(*number as i32),
        })
        .collect()
}
