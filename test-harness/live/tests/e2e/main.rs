//! Seawall in a real Envoy, asked over real sockets; what reached the upstream is counted at the upstream.
//!
//! A rule's tests have the name of its module in filter/policy/src; what is about all rules stands beside them.

mod agreement;
mod breaker;
mod chaos;
mod check;
mod comparison;
mod concurrency;
mod config;
mod control;
mod deadline;
mod demo;
mod fallback;
mod health_check;
mod hostile;
mod outcome;
mod positions;
mod propagation;
mod retry;
mod retry_budget;
mod shared;
mod shedding;
mod shipped;
mod stale;
mod stand;
mod state_page;
mod support;
mod trust;
