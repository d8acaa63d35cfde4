//! A filter that is not Seawall: who has no key is refused, who has one is counted, and the answer says for whom it is.
//!
//! It is written with the `proxy-wasm` SDK. Its configuration is a key a line: `KEY NAME`.

// The SDK stands on the host's functions, which only exist around a `.wasm`: natively there is nothing to build.
#[cfg(target_arch = "wasm32")]
mod filter;
