//! Shared data as the policies know it.

use seawall_policy::shared::store::{Found, HostError, SharedStore};
use seawall_policy::time::Timestamp;

use super::abi::{self, Status};
use super::errors;
use crate::body::Wasm;

impl SharedStore for Wasm {
    fn clock(&self, begun: Timestamp) -> Timestamp {
        errors::found("clock_time_get", abi::monotonic_nanos()).map_or(begun, Timestamp::nanos)
    }

    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        match abi::shared_data(key) {
            Ok((bytes, cas)) => Ok(Some(Found { bytes, cas })),
            Err(Status::NOT_FOUND) => Ok(None),
            Err(Status(status)) => {
                errors::count("get_shared_data");
                Err(HostError(status))
            }
        }
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        match abi::set_shared_data(key, bytes, cas) {
            Ok(()) => Ok(true),
            Err(Status::CAS_MISMATCH) => Ok(false),
            Err(Status(status)) => {
                errors::count("set_shared_data");
                Err(HostError(status))
            }
        }
    }
}
