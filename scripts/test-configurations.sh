#!/usr/bin/env bash
# The configurations that ship: seawall check finds nothing in them, and a real Envoy takes them.
set -euo pipefail
cd "$(dirname "$0")/.."

envoy=$(scripts/envoy.sh)
cargo build --quiet --workspace --release --locked --bins
for file in envoy/seawall.yaml examples/compose/envoy.yaml; do
    target/release/seawall check "$file"
    # In the container the filter lies elsewhere.
    sed "s#/etc/envoy/seawall.wasm#dist/seawall.wasm#" "$file" >"dist/$(basename "$file")"
    "$envoy" --mode validate --use-dynamic-base-id -l error -c "dist/$(basename "$file")"
    rm "dist/$(basename "$file")"
done
target/release/seawall check examples/policies/*.yaml examples/istio/wasmplugin.yaml
