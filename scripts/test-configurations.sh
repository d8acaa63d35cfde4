#!/usr/bin/env bash
# The configurations that ship: seawall check finds nothing in them, and a real Envoy takes them.
set -euo pipefail
cd "$(dirname "$0")/.."

envoy=$(scripts/envoy.sh)
cargo build --quiet --workspace --release --locked --bins
# What ships has no warnings either.
clean() {
    local said
    said=$(target/release/seawall check "$@")
    printf '%s\n' "$said"
    ! grep -q ': warning: ' <<<"$said"
}
for file in envoy/seawall.yaml examples/compose/envoy.yaml; do
    clean "$file"
    # In the container the filter lies elsewhere.
    sed "s#/etc/envoy/seawall.wasm#dist/seawall.wasm#" "$file" >"dist/$(basename "$file")"
    "$envoy" --mode validate --use-dynamic-base-id -l error -c "dist/$(basename "$file")"
    rm "dist/$(basename "$file")"
done
# The other body, where it was built.
clean envoy/seawall-module.yaml
if [ -e dist/libseawall.so ]; then
    ENVOY_DYNAMIC_MODULES_SEARCH_PATH=dist "$envoy" --mode validate --use-dynamic-base-id -l error -c envoy/seawall-module.yaml
fi
# What the EnvoyFilter merges into a sidecar's bootstrap is a bootstrap of its own, indented by eight columns.
sed '1,/^      value:$/d; s/^        //' examples/istio/envoyfilter-stats-tags.yaml >dist/envoyfilter.yaml
grep -q '^stats_config:' dist/envoyfilter.yaml
"$envoy" --mode validate --use-dynamic-base-id -l error -c dist/envoyfilter.yaml
rm dist/envoyfilter.yaml
clean examples/policies/*.yaml \
    examples/istio/wasmplugin.yaml examples/istio/envoyfilter-upstream.yaml

# The access log that the shipped bootstrap writes is one that `seawall trace import` reads, and the gateway's is the same.
fields() { sed -n '/^ *start_time:/,/^ *seawall_degraded:/p' "$1" | sed 's/^ *//'; }
[ "$(fields envoy/seawall.yaml)" = "$(fields examples/compose/envoy.yaml)" ]
[ "$(fields envoy/seawall.yaml)" = "$(fields examples/envoy-gateway/envoyproxy.yaml)" ]
work=$(mktemp -d)
started=()
cleanup() {
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
ports=$(scripts/ports.py 4)
read -r edge admin backend knobs <<<"$ports"
sed "s/port_value: 10000/port_value: $edge/; s/port_value: 9901/port_value: $admin/; s/port_value: 8080/port_value: $backend/" \
    envoy/seawall.yaml >"$work/envoy.yaml"
target/release/seawall-upstream --listen "backend=127.0.0.1:$backend" --admin "127.0.0.1:$knobs" >"$work/upstream" &
started+=($!)
"$envoy" -c "$work/envoy.yaml" --use-dynamic-base-id --concurrency 1 -l error >"$work/access.log" 2>"$work/envoy" &
started+=($!)
asked=0
for _ in $(seq 100); do
    # The first answer of the upstream ends the waiting.
    if [ "$(curl -s -o "$work/answer" -w '%{http_code}' "http://127.0.0.1:$edge/page")" = 200 ]; then asked=$((asked + 1)); else sleep 0.1; fi
    [ "$asked" -lt 10 ] || break
done
curl -s -o "$work/answer" -d '{"error_rate": 1}' "http://127.0.0.1:$knobs/backend"
curl -s -o "$work/answer" -w '' "http://127.0.0.1:$edge/page"
# Envoy writes what it holds back of its log when it ends.
kill "${started[1]}"
wait "${started[1]}"
started=("${started[0]}")
target/release/seawall trace import --strict "$work/access.log" -o "$work/trace.jsonl"
# The least-privilege list is what the module needs: a real Envoy works with it, and not with one function less.
"$(scripts/python.sh pyyaml==6.0.3)" scripts/capabilities.py test "$envoy" target/release/seawall-upstream dist/seawall.wasm
[ "$(grep -c '"status":200,"cluster":"backend"' "$work/trace.jsonl")" = 10 ]
grep -q '"status":503,"cluster":"backend"' "$work/trace.jsonl"
