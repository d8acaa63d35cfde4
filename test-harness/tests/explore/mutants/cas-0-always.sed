# every swap is against 0
# file: filter/src/host/shared.rs
s/abi::set_shared_data\(key, bytes, cas\)/abi::set_shared_data(key, bytes, cas \& 0)/
