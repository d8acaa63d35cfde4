# an answered request is settled again when it is logged
# file: filter/src/request.rs
/fn on_response/,/^    }/ s/self\.stage = Stage::Outside;//
