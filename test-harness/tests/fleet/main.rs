//! Many Envoys before one upstream.
fn main() {}
