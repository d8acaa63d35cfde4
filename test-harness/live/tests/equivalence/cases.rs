//! One guest for each capability.

mod bodies;
mod callouts;
mod calls;
mod flow;
mod headers;
mod idle;
mod lengths;
mod life;
mod limits;
mod mangled;
mod replies;
mod requests;
mod sdks;
