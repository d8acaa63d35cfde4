# a settlement that could not be stored is forgotten
# file: filter/src/worker.rs
/pub\(crate\) fn settle/,/^    }/ s/if !self\.pay\(debt\) \{/if !self.pay(debt) \&\& self.debts.len() > DEBTS_MAX {/
