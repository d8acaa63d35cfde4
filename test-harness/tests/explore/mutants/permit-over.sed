# one probe more than there are permits
# file: filter/policy/src/breaker/mod.rs
/pub fn admit\(/,/^    }/ s/if taken < settings\.half_open\.permits/if taken <= settings.half_open.permits/
