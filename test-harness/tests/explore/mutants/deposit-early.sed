# deposits count as told though they could not be stored
# file: filter/policy/src/worker/retry_budget.rs
/fn with_account/,/^    }/ s/if notes\.is_committed\(\) \{/if notes.is_committed() || entry.deposits > 0 {/
