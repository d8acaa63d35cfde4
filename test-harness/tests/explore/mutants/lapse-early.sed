# a permit lapses at the first tick, and not a second after a slow call's time
# file: filter/policy/src/outcome/exchange.rs
s/silent_for\(since, over\.plus\(GRACE\)\)/silent_for(since, over.min(Span::ZERO))/
