#!/usr/bin/env bash
# Formatting and clippy, on this machine's target and, where its standard library is there, on the filter's own.
set -euo pipefail
cd "$(dirname "$0")/.."

for component in rustfmt clippy; do
    if ! cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1; then
        echo "lint: fetching rustup's component $component" >&2
        rustup component add "$component"
    fi
done
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked --release -- -D warnings
if ls "$(rustc --print target-libdir --target wasm32-unknown-unknown)"/libcore-*.rlib >/dev/null 2>&1; then
    cargo clippy -p seawall-filter --locked --target wasm32-unknown-unknown --target-dir target/wasm -- -D warnings
else
    echo "lint: SKIPPED clippy for wasm32-unknown-unknown: its standard library is not here"
fi
if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh examples/filter-test/build.sh .ci/run
else
    echo "lint: SKIPPED the shell scripts: there is no shellcheck"
fi
long=$(git ls-files '*.rs' | xargs wc -l | awk '$2 != "total" && $1 > 500 {print $2 ": " $1 " lines"}')
if [ -n "$long" ]; then
    printf 'lint: over 500 lines:\n%s\n' "$long"
    exit 1
fi
echo "lint: well"
