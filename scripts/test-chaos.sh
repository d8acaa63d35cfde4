#!/usr/bin/env bash
# Chaos Toolkit itself, from PyPI: it validates every experiment, runs one, finds that another one deviates without Seawall, and rolls
# back one that is interrupted.
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
toolkit=("$tools/bin/chaos" --no-version-check --no-log-file --settings "$work/settings.yaml")
chaos() {
    "${toolkit[@]}" "$@"
}
# By itself it rolls nothing back that failed or was interrupted.
run=(run --rollback-strategy always)

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
chaos "${run[@]}" --journal-path "$work/journal.json" examples/experiments/error-burst.yaml >"$work/said" 2>&1 || {
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
if SEAWALL_CHAOS_CONTROL=1 chaos "${run[@]}" --journal-path "$work/control.json" examples/experiments/retry-storm.yaml >"$work/said" 2>&1; then
    echo "chaos: the exit code of retry-storm without Seawall does not tell that it deviated"
    exit 1
fi
[ "$(ended "$work/control.json")" = "completed True" ] || {
    cat "$work/said"
    echo "chaos: retry-storm without Seawall: $(ended "$work/control.json")"
    exit 1
}
echo "chaos: Chaos Toolkit ran retry-storm without Seawall, and it deviated"

# Whoever interrupts it with Ctrl-C leaves nothing wrong behind: the rollbacks run, and the session is over. Its probes take a while.
session=$work/session.json
sed "s#examples/experiments/error-burst.yaml#$work/long.yaml#; s/rate: 100,/rate: 5000,/" examples/experiments/error-burst.yaml >"$work/long.yaml"
SEAWALL_CHAOS_SESSION=$session env --default-signal=INT "${toolkit[@]}" "${run[@]}" --journal-path "$work/interrupted.json" \
    "$work/long.yaml" >"$work/said" 2>&1 &
toolkit_id=$!
until grep -q -s errors "$session"; do
    kill -0 "$toolkit_id" 2>"$work/ended" || {
        cat "$work/said"
        echo "chaos: the experiment ended before it could be interrupted"
        exit 1
    }
    sleep 0.05
done
kill -INT "$toolkit_id"
status=0
wait "$toolkit_id" || status=$?
rolled_back() {
    python3 -c 'import json, sys; print(*[done["status"] for done in json.load(open(sys.argv[1]))["rollbacks"]])' "$1"
}
[ "$status" = 1 ] && [ "$(ended "$work/interrupted.json")" = "interrupted False" ] && [ "$(rolled_back "$work/interrupted.json")" = succeeded ] &&
    [ ! -e "$session" ] || {
    cat "$work/said"
    echo "chaos: interrupted, exit code $status: $(ended "$work/interrupted.json"), rollbacks: $(rolled_back "$work/interrupted.json"), $(ls "$work")"
    exit 1
}
echo "chaos: Chaos Toolkit was interrupted, and rolled back"
