//! What all workers, and modules of several versions, know together.

mod configurations;
mod pending;
mod registry;
mod rollout;
mod stood_still;
mod versions;
