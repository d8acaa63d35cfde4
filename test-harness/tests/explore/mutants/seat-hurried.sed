# whoever shows no life for one tick is given up
# file: filter/policy/src/watch.rs
s/^const TICKS: u8 = 3;/const TICKS: u8 = 0;/
