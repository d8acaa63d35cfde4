#!/usr/bin/env bash
# Runs every test and says at the end what ran, what failed and what was skipped, and why.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
trap 'rm -f "$log" "$log.beside" "$log.status"' EXIT
summary=()
failed=0

suite() { # name, command...
    local name=$1
    shift
    echo "== $name"
    local begin=$SECONDS
    "$@" 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]}
    local passed skipped
    passed=$(awk '/^test result:/ {sum += $4} END {print sum + 0}' "$log")
    skipped=$(grep -m 1 -o 'SKIPPED.*' "$log")
    if [ "$status" -ne 0 ]; then
        failed=1
        summary+=("FAILED   $name")
    elif [ -n "$skipped" ]; then
        summary+=("$(printf 'SKIPPED  %s: %s' "$name" "${skipped#SKIPPED}")")
    elif [ "$passed" -gt 0 ]; then
        summary+=("$(printf 'passed   %-34s %4d tests, %d s' "$name" "$passed" $((SECONDS - begin)))")
    else
        summary+=("$(printf 'passed   %-34s %d s' "$name" $((SECONDS - begin)))")
    fi
}

# Runs beside what follows until `wait`: a search that needs no clock beside tests that mostly wait.
beside() { # command...
    { "$@" >"$log.beside" 2>&1; echo $? >"$log.status"; } &
}
# What ran beside; call it after `wait`.
# shellcheck disable=SC2317,SC2329  # suite calls it
awaited() {
    cat "$log.beside"
    return "$(cat "$log.status")"
}

export RUST_BACKTRACE="${RUST_BACKTRACE:-0}"
# One selection of packages for all, so that nothing is built twice.
# shellcheck disable=SC2317,SC2329  # suite calls it
tests() { cargo test --workspace --release --locked "$@"; }
suite "policies, models, parts" tests --lib --test breaker --test core --test decoders
suite "host, filter, simulation, replay" tests --test host --test filter --test command --test replay --test retries --test fleet --test limits --test chaos
suite "properties over random policies" tests --test properties
beside tests --test explore
suite "another filter in the host" tests --test api_keys
suite "the host against a real Envoy" tests --test equivalence
wait
suite "interleavings, hostile calls (beside it)" awaited
# Most of these wait most of the time.
suite "a real Envoy" tests --test e2e -- --test-threads=4
suite "shipped configurations" scripts/test-configurations.sh
suite "manifests: Istio, Envoy Gateway, KEDA" scripts/test-istio.sh
suite "Prometheus: rules, alerts, dashboard" scripts/test-prometheus.sh
suite "the documentation" scripts/test-docs.sh
suite "the OCI image" scripts/test-oci.sh
suite "the report in a browser" scripts/test-report.sh
suite "Chaos Toolkit" scripts/test-chaos.sh
suite "compose" scripts/test-compose.sh

echo
echo "What ran:"
printf '  %s\n' "${summary[@]}"
exit "$failed"
