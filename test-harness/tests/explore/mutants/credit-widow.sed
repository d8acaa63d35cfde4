# A VM that was given up goes on with the idle slots that it lost.
# file: filter/policy/src/concurrency/local.rs
s/        if notes\.expired \{/        if notes.expired \&\& self.idle() == 0 {/
