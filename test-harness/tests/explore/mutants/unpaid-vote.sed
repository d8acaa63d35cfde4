# a vote is given for what is there, and nothing is withdrawn
# file: filter/policy/src/retry/payment.rs
s/true if budget\.withdraw\(&retries\.budget, now\)/true if budget.balance(\&retries.budget, now) >= RETRY/
