# A VM that holds nothing idle at its ticks goes on by what it saw of the record long ago.
# file: filter/policy/src/concurrency/local.rs
s/self\.credits\.forget_seen\(\);//
