//! The filter's reading of header maps, over a host that hands out the bytes at hand.

#[allow(dead_code, reason = "what the filter writes is not looked at")]
pub mod abi {
    use std::cell::RefCell;

    thread_local! {
        /// What the host hands out next.
        pub static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    pub struct Status(pub u32);

    pub(crate) fn header_pairs(_map: u32) -> Result<Vec<u8>, Status> {
        Ok(BYTES.with_borrow(Clone::clone))
    }

    pub(crate) fn header(_map: u32, _key: &str) -> Result<Vec<u8>, Status> {
        header_pairs(0)
    }

    pub(crate) fn set_header(_map: u32, _key: &str, _value: &str) -> Result<(), Status> {
        Ok(())
    }

    pub(crate) fn remove_header(_map: u32, _key: &[u8]) -> Result<(), Status> {
        Ok(())
    }
}

mod errors {
    use super::abi::Status;

    pub(super) fn found<T>(_call: &'static str, result: Result<T, Status>) -> Option<T> {
        result.ok()
    }

    pub(super) fn succeeded(_call: &'static str, result: Result<(), Status>) -> bool {
        result.is_ok()
    }
}

#[allow(dead_code, reason = "what the filter writes is not looked at")]
#[path = "../../filter/src/host/headers.rs"]
pub(crate) mod headers;
