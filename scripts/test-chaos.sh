#!/usr/bin/env bash
# Chaos Toolkit itself, from PyPI: it validates every experiment, runs one, and finds that another one deviates without Seawall.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED Chaos Toolkit: $*"
    exit 0
}

# The exact release that was tried.
version=1.19.0
tools=.tools/chaos
command -v python3 >/dev/null || skip "there is no python3"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ ! -x "$tools/bin/chaos" ]; then
    echo "chaos: fetching chaostoolkit $version from PyPI"
    python3 -m venv "$tools" >"$work/venv" 2>&1 || skip "no virtual environment can be made: $(tail -n 1 "$work/venv")"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "chaostoolkit==$version" >"$work/pip" 2>&1 ||
        skip "chaostoolkit cannot be fetched: $(tail -n 1 "$work/pip")"
fi
cargo build --quiet --workspace --release --locked --bins
PATH=$PWD/target/release:$PATH
export PATH
export SEAWALL_WASM=$PWD/dist/seawall.wasm
chaos() {
    "$tools/bin/chaos" --no-version-check --no-log-file --settings "$work/settings.yaml" "$@"
}

count=0
for file in examples/experiments/*.yaml; do
    chaos validate "$file" >"$work/said" 2>&1 || {
        cat "$work/said"
        exit 1
    }
    count=$((count + 1))
done
echo "chaos: $count experiments are valid"

# status and whether it deviated, as its journal says it
ended() {
    python3 -c 'import json, sys; journal = json.load(open(sys.argv[1])); print(journal["status"], journal["deviated"])' "$1"
}
chaos run --journal-path "$work/journal.json" examples/experiments/error-burst.yaml >"$work/said" 2>&1 || {
    cat "$work/said"
    exit 1
}
[ "$(ended "$work/journal.json")" = "completed False" ] || {
    cat "$work/said"
    echo "chaos: error-burst: $(ended "$work/journal.json")"
    exit 1
}
echo "chaos: Chaos Toolkit ran error-burst, and nothing deviated"
# The storm does not end by itself: without Seawall the hypothesis does not hold after it.
if SEAWALL_CHAOS_CONTROL=1 chaos run --journal-path "$work/control.json" examples/experiments/retry-storm.yaml >"$work/said" 2>&1; then
    echo "chaos: the exit code of retry-storm without Seawall does not tell that it deviated"
    exit 1
fi
[ "$(ended "$work/control.json")" = "completed True" ] || {
    cat "$work/said"
    echo "chaos: retry-storm without Seawall: $(ended "$work/control.json")"
    exit 1
}
echo "chaos: Chaos Toolkit ran retry-storm without Seawall, and it deviated"
