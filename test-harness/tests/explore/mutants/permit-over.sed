# one probe more than there are permits
# file: filter/policy/src/breaker/half_open.rs
/fn has_room\(/,/^    }/ s/< settings\.half_open\.permits/<= settings.half_open.permits/
