//! Envoy's router without its network: what it is told, when it tries again, what it answers.
//!
//! Pure: no module, no clock, no queue. [`Orders`] says what the control headers and the route ask for, [`Machine`] gets
//! events with their time and gives steps. Statuses, flags and details are those of Envoy 1.40. Not modelled: gRPC
//! time-outs, retry budgets of a cluster (only its `max_retries`), hosts and their choice, bodies beyond the buffer.

mod back_off;
mod end;
mod machine;
mod orders;
mod retry_on;

pub use back_off::BackOff;
pub use end::{Downstream, End, flag};
pub use machine::{Machine, Retries, Step};
pub use orders::{Orders, RETRIES, ROUTE_TIMEOUT, RetryPolicy, Route};
pub use retry_on::RetryOn;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
