# what a dead VM held is never taken back
# file: filter/policy/src/shared/leases/mod.rs
s/retain\(\|lease\| !ends\(lease\)\)/retain(|lease| lease.quantity > 0)/
