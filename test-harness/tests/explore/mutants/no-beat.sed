# a holder gives no sign of life at its tick
# file: filter/policy/src/admission.rs
s/let beat = holding\.permits > 0 && breaker\.beat\(holding\.instance\);/let beat = holding.permits > 99 \&\& breaker.beat(holding.instance);/
