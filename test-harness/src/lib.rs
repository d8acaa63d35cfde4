//! The harness: Proxy-Wasm host, simulation, experiments and reports, on a virtual clock.
