//! Who is refused first.

mod overload;
mod priorities;
mod reported_load;
