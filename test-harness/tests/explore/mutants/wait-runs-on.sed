# the wait runs on though no permit is held
# file: filter/policy/src/breaker/half_open.rs
/fn remaining\(/,/^    }/ s/self\.wait_from = None;//
