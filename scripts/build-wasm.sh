#!/usr/bin/env bash
# Builds dist/seawall.wasm.
#
# The compiler's part for WebAssembly is taken from where it can be had: from the toolchain that is there; from rustup's
# server; from Debian's packages, whose rustc then builds the standard library itself. SEAWALL_WASM_COMPILER=rustup or
# =debian settles it.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly target=wasm32-unknown-unknown
readonly size_max=400000
readonly out=dist/seawall.wasm

say() { printf '%s\n' "wasm: $*" >&2; }
die() {
    say "$*"
    exit 1
}

target_is_there() {
    ls "$(rustc --print target-libdir --target "$target")"/libcore-*.rlib >/dev/null 2>&1
}

from_rustup() {
    command -v rustup >/dev/null || return 1
    say "fetching Rust's standard library for $target from rustup's server (about 20 MB), to compile the filter"
    RUSTUP_MAX_RETRIES=0 timeout 60 rustup target add "$target" >&2 && target_is_there
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

from_debian() {
    if dpkg -s rustc-web rust-web-src >/dev/null 2>&1; then return 0; fi
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then return 1; fi
    say "fetching Debian's rustc-web and rust-web-src (about 100 MB): rustup's server cannot be reached, and the filter needs a compiler for $target"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >&2
}

# Paths of this machine have no place in what is shipped, and without them the same source gives the same bytes.
flags() {
    printf '%s' "--cfg getrandom_backend=\"custom\" --remap-path-prefix=$PWD=/seawall --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
}

build() {
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$(flags)" \
        cargo build --quiet -p seawall-filter --lib --profile wasm --target "$target" --target-dir target/wasm --locked "$@"
}

build_by_debian() {
    local linker
    linker="$(rustc --print sysroot)/lib/rustlib/$(rustc --print host-tuple)/bin/rust-lld"
    [ -x "$linker" ] || die "there is no $linker: install Rust with rustup"
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker" \
        build -Zbuild-std=std,panic_abort
}

compiler="${SEAWALL_WASM_COMPILER:-}"
if [ -z "$compiler" ]; then
    if target_is_there || from_rustup; then compiler=rustup; else compiler=debian; fi
fi
case "$compiler" in
    rustup)
        target_is_there || die "the target $target is missing: rustup target add $target"
        build
        ;;
    debian)
        from_debian || die "no compiler for $target: run 'rustup target add $target' where rustup's server can be reached, or install Debian's rustc-web and rust-web-src as root"
        build_by_debian
        ;;
    *) die "SEAWALL_WASM_COMPILER is '$compiler': write rustup or debian" ;;
esac

mkdir -p dist
cmp -s "target/wasm/$target/wasm/seawall_filter.wasm" "$out" || cp "target/wasm/$target/wasm/seawall_filter.wasm" "$out"
size=$(stat -c %s "$out")
[ "$size" -le "$size_max" ] || die "$out has $size bytes: more than $size_max"
say "$out, $size bytes (bound $size_max), compiled by $compiler's rustc"
