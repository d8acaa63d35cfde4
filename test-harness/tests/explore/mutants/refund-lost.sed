# what was paid for and not sent is not given back
# file: filter/policy/src/worker/retry_budget.rs
s/self\.enter\(upstream, Entry::Refund\(retries\)\);//
