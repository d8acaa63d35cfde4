# an answered request is settled again when it is logged
# file: filter/policy/src/request/response.rs
/fn on_response/,/^    }/ s/self\.stage = Stage::Outside;//
