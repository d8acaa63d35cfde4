//! The host of the tests gives out functions that the module looks up by name, as Envoy does.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-tests=-rdynamic");
}
