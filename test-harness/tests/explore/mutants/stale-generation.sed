# a settlement of another generation counts
# file: filter/policy/src/breaker/mod.rs
/pub fn settle\(/,/^    }/ s/if permit\.generation != self\.generation/if permit.generation > self.generation/
