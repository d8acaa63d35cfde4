//! Seawall's filter: the entry point that Envoy calls.
