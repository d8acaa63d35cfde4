#!/usr/bin/env bash
# Builds the filter for Envoy and prints where it is. Where rustup's target is missing, Debian's compiler takes its place
# (scripts/build-wasm.sh says how it comes there).
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly target=wasm32-unknown-unknown
readonly directory=$PWD/target/filter-test
more=()
if ! ls "$(rustc --print target-libdir --target "$target")"/libcore-*.rlib >/dev/null 2>&1; then
    if [ ! -x /usr/bin/rustc ] || ! dpkg -s rust-web-src >/dev/null 2>&1; then
        echo "filter-test: no compiler for $target: rustup target add $target" >&2
        exit 1
    fi
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$(rustc --print sysroot)/lib/rustlib/$(rustc --print host-tuple)/bin/rust-lld"
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    more=("-Zbuild-std=std,panic_abort")
fi
cargo build --quiet -p seawall-filter-test --lib --profile wasm --target "$target" --target-dir "$directory" --locked \
    "${more[@]}" >&2
echo "$directory/$target/wasm/api_keys.wasm"
