//! A process in the search: its shared data, its clock, and how much each VM has heard.

/// What stands under a key: the number of its bytes, and how often it was written.
pub(super) type Slot = Option<(u32, u32)>;

/// One state of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessState {
    pub(super) nodes: Box<[u32]>,
    pub(super) dead: u64,
    pub(super) store: Vec<Slot>,
    pub(super) now: u64,
    pub(super) moved: u8,
    pub(super) killed: u8,
    /// Who is in the middle of a step.
    pub(super) running: u8,
}

impl ProcessState {
    pub(super) const NOBODY: u8 = u8::MAX;
}
