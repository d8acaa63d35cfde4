# a probe that ended without a verdict keeps its permit
# file: filter/policy/src/admission/mod.rs
s/\(settled\.made, Change::stored_if\(settled\.changed\)\)/(settled.made, Change::stored_if(settled.counted.is_some()))/
