# deposits count as told though they could not be stored
# file: filter/src/worker/retries.rs
/fn with_account/,/^    }/ s/if notes\.stands\(\) \{/if notes.stands() || entry.deposits > 0 {/
