# a lost swap is taken for won
# file: filter/policy/src/shared/store/mod.rs
s/if store\.swap\(key, &after, cas\)\? \{/if store.swap(key, \&after, cas).map(|_| true)? {/
