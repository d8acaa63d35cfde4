//! Who is to blame for the end of a request.

mod blame;
mod evidence;
mod flags;
mod goaway;
mod one_peer;
mod tunnels;
