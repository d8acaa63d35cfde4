#!/usr/bin/env bash
# Tests the dynamic module: its signatures, and its life under a host of the tests' own with AddressSanitizer.
#
# A fault in a shared library ends the whole proxy. SEAWALL_MODULE_STREAMS=5000000 makes the hostile run an hour long; SEAWALL_SEED=2 makes it another.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
readonly target
# The sanitizer's flag is one of nightly compilers; its runtime is a part of stable ones, which take the flag when told to.
if ls "$(rustc --print target-libdir)"/librustc-*_rt.asan.a >/dev/null 2>&1; then
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS="detect_leaks=1" \
        cargo test --release --locked -p seawall-module --target "$target" --target-dir target/asan
else
    echo "SKIPPED AddressSanitizer: this compiler comes without its runtime"
    cargo test --release --locked -p seawall-module
fi
