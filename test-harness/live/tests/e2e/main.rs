//! Seawall in a real Envoy, asked over real sockets; what reached the upstream is counted at the upstream.

mod agreement;
mod answers;
mod breaker;
mod budget;
mod chain;
mod coarse;
mod configuration;
mod deadlines;
mod demo;
mod dynamic;
mod hedging;
mod hops;
mod hostile;
mod limits;
mod off;
mod own;
mod positions;
mod quiet;
mod refunds;
mod restart;
mod retrying;
mod shipped;
mod support;
mod trial;
mod tries;
mod updates;
