# what a dead VM held is never taken back
# file: filter/policy/src/places/steps.rs
s/dead\.iter\(\)\.filter\(\|sign\| places\.expire\(\*\*sign\)\)\.count\(\)/dead.iter().filter(|_| false).count()/
