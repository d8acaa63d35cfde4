# an answered request is settled again when it is logged
# file: filter/src/request.rs
/fn answered/,/^    }/ s/self\.stage = Stage::Outside;//
