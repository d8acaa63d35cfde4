# a worker stores a change that others depend on, and does not tell them
# file: filter/policy/src/worker/step_reports.rs
s/if notes\.moved \{/if notes.moved \&\& notes.expired {/
