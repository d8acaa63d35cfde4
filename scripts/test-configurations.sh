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
# What the EnvoyFilter merges into a sidecar's bootstrap is a bootstrap of its own, indented by eight columns.
sed '1,/^      value:$/d; s/^        //' examples/istio/envoyfilter-stats-tags.yaml >dist/envoyfilter.yaml
grep -q '^stats_config:' dist/envoyfilter.yaml
"$envoy" --mode validate --use-dynamic-base-id -l error -c dist/envoyfilter.yaml
rm dist/envoyfilter.yaml
clean examples/policies/*.yaml \
    examples/istio/wasmplugin.yaml examples/istio/envoyfilter-upstream.yaml
