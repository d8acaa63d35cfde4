# a holder gives no sign of life at its tick
# file: filter/policy/src/admission/mod.rs
s/changed \|= holding\.permits > 0 && breaker\.heartbeat\(holding\.instance\);/changed |= holding.permits > 99 \&\& breaker.heartbeat(holding.instance);/
