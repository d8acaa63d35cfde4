# deposits that were told are told again
# file: filter/policy/src/worker/retry_budget.rs
/fn with_account/,/^    }/ s/entry\.deposits\.set\(0\);/entry.deposits.set(entry.deposits.get());/
