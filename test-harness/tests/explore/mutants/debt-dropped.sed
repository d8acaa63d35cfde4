# a settlement that could not be stored is forgotten
# file: filter/src/worker.rs
/pub\(crate\) fn settle/,/^    }/ s/if !notes\.stands\(\) \{/if !notes.stands() \&\& self.debts.len() > DEBTS_MAX {/
