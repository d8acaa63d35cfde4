# a settlement that could not be stored is forgotten
# file: filter/src/worker.rs
/pub\(crate\) fn settle/,/^    }/ s/if !notes\.is_committed\(\) \{/if !notes.is_committed() \&\& self.pending_settlements.len() > PENDING_MAX {/
