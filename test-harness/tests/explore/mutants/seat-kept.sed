# a place is not given back
# file: filter/policy/src/concurrency/mod.rs
s/holder\.held = holder\.held\.saturating_sub\(1\);/holder.held = holder.held.max(1);/
