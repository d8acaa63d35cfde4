# a lot of an earlier generation is entered into the next one
# file: filter/policy/src/breaker/lot.rs
s/lot\.generation != self\.generation \|\| //
