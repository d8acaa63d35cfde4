# what was paid for and not sent is not given back
# file: filter/src/worker/retry_budget.rs
s/self\.enter\(upstream, Entry::Refund\(retries\)\);//
