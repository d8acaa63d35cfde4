# A request gives back the idle slot that it took, and one more.
# file: filter/policy/src/concurrency/credits.rs
s/self\.idle = self\.idle\.saturating_add\(1\);/self.idle = self.idle.saturating_add(2);/
