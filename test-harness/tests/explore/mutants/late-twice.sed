# a failure that is told late is counted beside its success
# file: filter/policy/src/breaker/window/mod.rs
s/let taken_out = window\.holds\(number\) && window\.at\(number\)\.take_out\(outcome\);/let taken_out = window.holds(number);/
