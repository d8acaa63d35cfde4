# a change of state starts no generation
# file: filter/policy/src/breaker/mod.rs
/fn enter\(/,/^    }/ s/self\.generation = self\.generation\.wrapping_add\(1\);//
