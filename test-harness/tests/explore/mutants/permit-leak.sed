# a probe that ended without a verdict keeps its permit
# file: filter/policy/src/admission.rs
s/permit\.probe\.is_some\(\) \|\| verdict\.outcome\.counts\(\)/verdict.outcome.counts()/
