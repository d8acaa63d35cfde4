#!/usr/bin/env bash
# dist/release: what is given on. The filter, its image, static programs, a bill of materials, schemas, rules, dashboard, manifests.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly out=dist/release
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
triple=$(rustc --print host-tuple)
rm -rf "$out"
mkdir -p "$out/schemas"

# Static: they run on any Linux, in an empty container too. Link-time settings of their own need a target directory of their own.
variable=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$triple")_RUSTFLAGS
# Paths of this machine have no place in them.
flags="-C target-feature=+crt-static --remap-path-prefix=$PWD=/seawall --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
env "$variable=$flags" cargo build --quiet --release --locked --target "$triple" --target-dir target/static \
    -p seawall-harness --bin seawall
cp "target/static/$triple/release/seawall" "$out/seawall"
strip "$out/seawall"
if readelf --program-headers "$out/seawall" | grep -q INTERP; then
    echo "dist: seawall is not static"
    exit 1
fi
if grep -q -a -F "$PWD/target" "$out/seawall"; then
    echo "dist: seawall holds a path of this machine"
    exit 1
fi
"$out/seawall" check examples/policies/start.yaml >/dev/null

cp dist/seawall.wasm LICENSE README.md "$out/"
scripts/oci.py make dist/seawall.wasm "$version" "$out/oci"
scripts/oci.py check dist/seawall.wasm "$out/oci"
scripts/sbom.py "$out/seawall.cdx.json"
cp docs/*.schema.json "$out/schemas/"
cp -r examples/prometheus examples/grafana examples/runbooks examples/experiments examples/istio examples/envoy-gateway examples/autoscaling envoy "$out/"
sums=$(cd "$out" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
printf '%s\n' "$sums" >"$out/SHA256SUMS"
echo "dist: $out, version $version, $(find "$out" -type f | wc -l) files, $(du -sh "$out" | cut -f 1)"
