# a lost swap is taken for won
# file: filter/policy/src/shared/store/mod.rs
s/let stands = nothing \|\| store\.swap\(key, &record\.encode\(\), cas\)\?;/let stands = nothing || store.swap(key, \&record.encode(), cas).map(|_| true)?;/
