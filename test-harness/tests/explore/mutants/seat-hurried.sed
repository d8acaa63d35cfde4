# whoever shows no life for one tick is given up
# file: filter/policy/src/liveness.rs
s/const TICKS: u8 = 3;/const TICKS: u8 = 0;/
