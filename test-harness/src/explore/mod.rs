//! Every interleaving of several workers' calls of shared data, over the real `.wasm`.
//!
//! A VM of the filter is a function: what it does next follows from what it was told so far. So no VM is ever held in the
//! middle of a call. A VM is run from its start with the answers it has heard; where the answers end, the call it makes
//! next is noted and the VM is thrown away ([`vm_tree`]). What was found is kept, so each VM runs once for each thing it
//! can hear, not once for each schedule. The search ([`search`]) then walks over all states of the process: shared data,
//! the clock, and how much each VM has heard. Two schedules that lead to the same state are followed once: that is the
//! partial-order reduction, and it loses nothing, since reads and writes of different keys commute into the same state.
//!
//! Neither fibers nor threads are needed, nothing depends on a scheduler, and the first failure found is one with the
//! fewest preemptions, and of those a shortest.

mod checks;
mod environment;
mod playback;
mod process_state;
mod scenario;
mod scenarios;
mod schedule;
mod search;
mod show;
mod state_space;
mod vm_tree;

pub use scenario::{Forced, HostFault, Scenario, Step};
pub use scenarios::{all, named};
pub use schedule::{Choice, Schedule};
pub use search::{Bounds, Broken, Progress, Report, explore, replay};
