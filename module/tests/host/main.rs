//! The module under a host of our own: what Envoy never does on purpose, and what it does a million times.
//!
//! The host gives out the functions that Envoy gives out, and calls the hooks that Envoy calls. `scripts/test-module.sh` runs these tests under
//! AddressSanitizer too. `SEAWALL_MODULE_STREAMS` makes the hostile run longer; its seed is printed.
#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "the other side of a C interface, in real time"
)]

mod envoy;
mod hostile;
mod life;
mod sharing;

use seawall_module as _;
