//! One guest for each capability.

mod bodies;
mod calls;
mod flow;
mod headers;
mod life;
mod sdks;
