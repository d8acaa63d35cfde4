#!/usr/bin/env bash
# Builds dist/seawall.wasm.
#
# The compiler's part for WebAssembly is taken from where it can be had: from the toolchain that is there; from rustup's
# server; from Debian's packages, whose rustc then builds the standard library itself. SEAWALL_WASM_COMPILER=rustup or
# =debian settles it. Binaryen's wasm-opt then makes the module smaller and faster; SEAWALL_WASM_OPT=FILE names another one.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly target=wasm32-unknown-unknown
readonly size_max=500000
# Without wasm-opt the module is about 10 % larger. It is for trials then, not for shipping.
readonly unoptimised_max=600000
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
# Functions are inlined up to a fifth of the compiler's usual size (225): smaller, and no slower (docs/filter-size.md).
flags() {
    printf '%s' "-C llvm-args=-inline-threshold=50 --cfg getrandom_backend=\"custom\" --remap-path-prefix=$PWD=/seawall --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
}

# Incremental compilation splits the crates into many units, which inline less of each other.
export CARGO_INCREMENTAL=0

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

# Prints nothing where there is no wasm-opt and none can be had.
optimiser() {
    if [ -n "${SEAWALL_WASM_OPT:-}" ]; then
        command -v "$SEAWALL_WASM_OPT" || die "SEAWALL_WASM_OPT is '$SEAWALL_WASM_OPT': there is no such program"
        return
    fi
    command -v wasm-opt && return
    command -v apt-get >/dev/null || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then return 0; fi
    say "fetching Debian's binaryen (about 12 MB), whose wasm-opt makes the module smaller and faster"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || return 0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends binaryen >&2 || return 0
    command -v wasm-opt
}

# What Rust's target has by itself, and nothing beyond: wasm-opt must not bring in what an older Envoy cannot load.
readonly features=(--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int
    --enable-reference-types --enable-sign-ext)
# Functions that differ in constants alone become one, and those that are called most get the shortest numbers. What is added to an address
# goes into the access itself (--low-memory-unused): nothing points below 1,024, where the stack ends that the linker puts first.
readonly optimisations=(-O3 --converge --low-memory-unused --merge-similar-functions --reorder-functions
    --generate-stack-ir --optimize-stack-ir)
readonly built="target/wasm/$target/wasm/seawall_filter.wasm"
module="target/wasm/$target/wasm/seawall.wasm"
optimiser=$(optimiser)
if [ -n "$optimiser" ]; then
    "$optimiser" "${optimisations[@]}" "${features[@]}" "$built" -o "$module"
    bound=$size_max
    how="optimised by $("$optimiser" --version)"
else
    module=$built
    bound=$unoptimised_max
    how="NOT optimised: install Binaryen for its wasm-opt before you ship it"
fi

mkdir -p dist
cmp -s "$module" "$out" || cp "$module" "$out"
size=$(stat -c %s "$out")
[ "$size" -le "$bound" ] || die "$out has $size bytes: more than $bound"
say "$out, $size bytes (bound $bound), compiled by $compiler's rustc, $how"
