#!/usr/bin/env bash
# The OCI image of the filter: two builds are the same, byte by byte, and both fetchers read it. Damage is seen.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
scripts/oci.py make dist/seawall.wasm 0.0.0-test "$work/one"
(umask 077 && TZ=Asia/Tokyo scripts/oci.py make dist/seawall.wasm 0.0.0-test "$work/two" >/dev/null)
diff -r "$work/one" "$work/two"
scripts/oci.py check dist/seawall.wasm "$work/one"
# What any gzip and tar read is what was packed.
layer=$(find "$work/one/blobs/sha256" -size +100k -exec sh -c 'gzip -t <"$1" 2>/dev/null && echo "$1"' _ {} \;)
tar -xzOf "$layer" plugin.wasm | cmp - dist/seawall.wasm
printf 'x' >>"$layer"
if scripts/oci.py check dist/seawall.wasm "$work/one" 2>/dev/null; then
    echo "oci: a damaged layer is not seen"
    exit 1
fi
