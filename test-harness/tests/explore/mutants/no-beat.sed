# a VM gives no sign of life at its tick
# file: filter/policy/src/shared/members/mod.rs
s/sign\.beat = sign\.beat\.wrapping_add\(1\);/sign.beat = sign.beat.wrapping_add(0);/
