# a record is created by a swap against 0, which wins on a live key
# file: filter/policy/src/shared/store/mod.rs
s/pub const CREATE: u32 = u32::MAX;/pub const CREATE: u32 = 0;/
