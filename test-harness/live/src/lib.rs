//! Seawall among real processes: the upstream program, an app between sidecars, a load client, Envoy, the demo.
//!
//! Everything here is about the real world: real sockets, real time, real Envoy. What can be decided without them stands
//! in the harness.

pub mod app;
pub mod bench;
pub mod chaos;
pub mod clock;
pub mod crash;
pub mod demo;
pub mod envoy;
pub mod listen;
pub mod load;
pub mod offered;
pub mod pool;
pub mod raw;
pub mod upstream;
