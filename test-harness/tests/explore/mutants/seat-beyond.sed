# one place more than there are
# file: filter/policy/src/concurrency/steps.rs
s/if used >= room \{/if used > room {/
