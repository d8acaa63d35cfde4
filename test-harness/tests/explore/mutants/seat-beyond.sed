# one place more than there are
# file: filter/policy/src/concurrency/steps.rs
s/if in_flight >= room \{/if in_flight > room {/
