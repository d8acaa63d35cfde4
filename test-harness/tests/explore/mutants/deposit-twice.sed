# deposits that were told are told again
# file: filter/policy/src/worker/retry_budget.rs
/fn with_account/,/^    }/ s/entry\.deposits = 0;/entry.deposits = entry.deposits.min(u64::MAX);/
