//! Seawall in a real Envoy, asked over real sockets; what reached the upstream is counted at the upstream.

mod agreement;
mod answers;
mod breaker;
mod budget;
mod chain;
mod configuration;
mod demo;
mod hops;
mod hostile;
mod own;
mod positions;
mod quiet;
mod shipped;
mod support;
