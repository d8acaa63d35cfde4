# a settlement that could not be stored is forgotten
# file: filter/policy/src/worker/mod.rs
/pub\(crate\) fn settle/,/^    }/ s/if !notes\.is_committed\(\) \{/if !notes.is_committed() \&\& self.pending_settlements.len() > pending_settlements::PENDING_MAX {/
