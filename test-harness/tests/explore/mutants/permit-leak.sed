# a probe that ended without a verdict keeps its permit
# file: filter/policy/src/admission/mod.rs
s/let changed = entered\.changed \|\| settled\.changed;/let changed = entered.changed || settled.counted.is_some();/
