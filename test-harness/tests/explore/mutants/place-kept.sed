# who was second to create a record keeps the place it counted
# file: filter/policy/src/store.rs
s/Some\(count\.saturating_sub\(1\)\)/Some(count)/
