//! One guest for each capability.

mod bodies;
mod callouts;
mod calls;
mod flow;
mod headers;
mod life;
mod sdks;
