# a slot or a permit is not given back
# file: filter/policy/src/shared/leases/mod.rs
s/lease\.quantity = lease\.quantity\.saturating_sub\(quantity\);/lease.quantity = lease.quantity.max(quantity);/
