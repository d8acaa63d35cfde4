# a holder gives no sign of life at its tick
# file: filter/policy/src/admission.rs
s/changed \|= holding\.permits > 0 && breaker\.beat\(holding\.instance\);/changed |= holding.permits > 99 \&\& breaker.beat(holding.instance);/
