#!/usr/bin/env bash
# Runs every test and says at the end what ran, what failed and what was skipped, and why.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d)
log=$work/suite.log
lane=
# shellcheck disable=SC2329  # trap calls it
cleanup() {
    if [ -n "$lane" ]; then kill "$lane" 2>/dev/null; fi
    rm -rf "$work"
}
trap cleanup EXIT
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

# Suites that need no clock run one after the other beside those that mostly wait, until `shown`, which says how each went.
names=()
commands=()
aside() { # name, command and its arguments, none of them with a space
    names+=("$1")
    shift
    commands+=("$*")
}
begun() {
    (
        for number in "${!commands[@]}"; do
            begin=$SECONDS
            # shellcheck disable=SC2086  # a command and its arguments
            ${commands[$number]} >"$work/$number.log" 2>&1
            echo $? >"$work/$number.status"
            echo $((SECONDS - begin)) >"$work/$number.seconds"
        done
    ) &
    lane=$!
}
# shellcheck disable=SC2317,SC2329  # suite calls it
said() {
    cat "$work/$1.log"
    [ -e "$work/$1.status" ] && return "$(cat "$work/$1.status")"
    echo "it did not come to its end"
    return 1
}
shown() {
    wait "$lane"
    for number in "${!names[@]}"; do
        suite "${names[$number]} (beside, $(cat "$work/$number.seconds" 2>/dev/null || echo 0) s)" said "$number"
    done
    names=()
    commands=()
}

export RUST_BACKTRACE="${RUST_BACKTRACE:-0}"
# One selection of packages for all, so that nothing is built twice. A failure does not keep the others from running.
# shellcheck disable=SC2317,SC2329  # suite calls it
tests() { cargo test --workspace --release --locked --no-fail-fast "$@"; }
# A part of the tests in a real Envoy on the other body; `make e2e BODY=module` runs all.
# shellcheck disable=SC2317,SC2329  # suite calls it
on_module() { SEAWALL_BODY=module tests --test e2e -- --test-threads=4 "$@"; }
suite "policies, models, parts" tests --lib --test breaker --test core --test decoders
suite "host, filter, simulation, replay" tests --test host --test filter --test command --test replay --test retries --test fleet --test limits --test chaos
suite "properties over random policies" tests --test properties
aside "interleavings, hostile calls" tests --test explore
aside "the dynamic module, AddressSanitizer" scripts/test-module.sh
aside "the dynamic module's library" scripts/build-module.sh
aside "manifests: Istio, Envoy Gateway, KEDA" scripts/test-istio.sh
aside "the documentation" scripts/test-docs.sh
aside "the OCI image" scripts/test-oci.sh
aside "the report in a browser" scripts/test-report.sh
begun
suite "another filter in the host" tests --test api_keys
suite "the host against a real Envoy" tests --test equivalence
# Most of these wait most of the time.
suite "a real Envoy" tests --test e2e -- --test-threads=5
shown
suite "a real Envoy, dynamic module" on_module fallback:: hostile:: retry::by_route health_check:: concurrency::slots
suite "shipped configurations" scripts/test-configurations.sh
suite "Prometheus: rules, alerts, dashboard" scripts/test-prometheus.sh
suite "Chaos Toolkit" scripts/test-chaos.sh
suite "compose" scripts/test-compose.sh

echo
echo "What ran:"
printf '  %s\n' "${summary[@]}"
exit "$failed"
