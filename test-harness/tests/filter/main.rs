//! The filter as it ships, in this host. A rule's tests have the name of its module in filter/policy/src; what is about all
//! rules stands in `cost` and `hostile`.

mod authority;
mod breaker;
mod concurrency;
mod config;
mod cost;
mod fallback;
mod health_check;
mod hostile;
mod outcome;
mod retry_budget;
mod shared;
mod shedding;
#[path = "../shipped/mod.rs"]
mod shipped;
mod stale;
mod state_page;
mod support;
mod trust;
