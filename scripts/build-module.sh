#!/usr/bin/env bash
# Builds dist/libseawall.so, the filter as an Envoy dynamic module, and says which glibc it needs.
#
# The compiler of this machine links against this machine's glibc. SEAWALL_MODULE_GLIBC=2.31 (or another version) has zig link it, from
# PyPI's ziglang and cargo-zigbuild, for machines that are older; SEAWALL_MODULE_TARGET=aarch64-unknown-linux-gnu is for another processor.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly out=dist/libseawall.so
# What the module may need at most: that of Debian 11 is 2.31, that of Debian 12 and Envoy's images 2.36 or less.
readonly glibc_max=2.34
readonly size_max=2500000

say() { printf '%s\n' "module: $*" >&2; }
die() {
    say "$*"
    exit 1
}

host=$(rustc -vV | sed -n 's/^host: //p')
readonly target=${SEAWALL_MODULE_TARGET:-$host}
# Paths of this machine have no place in what is shipped. Every symbol is looked up when the module is loaded: one that Envoy does not have
# refuses the configuration then, and does not end the process later.
flags="-C link-arg=-Wl,-z,now --remap-path-prefix=$PWD=/seawall --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
arguments=(-p seawall-module --lib --profile module --target-dir target/module --locked)
if [ -n "${SEAWALL_MODULE_GLIBC:-}" ]; then
    python=$(scripts/python.sh ziglang==0.16.0 cargo-zigbuild==0.24.1)
    PATH="$(dirname "$python"):$PATH" RUSTFLAGS="$flags" \
        cargo zigbuild --quiet "${arguments[@]}" --target "$target.$SEAWALL_MODULE_GLIBC"
else
    RUSTFLAGS="$flags" cargo build --quiet "${arguments[@]}" --target "$target"
fi
mkdir -p dist
cp "target/module/$target/module/libseawall_module.so" "$out.new"

# The highest version among the symbols of glibc that the library asks for.
glibc=$(grep -ao 'GLIBC_2\.[0-9]*' "$out.new" | sed 's/GLIBC_//' | sort -uV | tail -n 1) ||
    die "the library asks for no version of glibc: is $target one that Envoy runs on?"
size=$(wc -c <"$out.new")
readonly most=${SEAWALL_MODULE_GLIBC:-$glibc_max}
[ "$(printf '%s\n' "$glibc" "$most" | sort -V | tail -n 1)" = "$most" ] ||
    die "the library needs glibc $glibc, which is later than $most: set SEAWALL_MODULE_GLIBC=2.31"
[ "$size" -le "$size_max" ] || die "the library has $size bytes, more than $size_max"
if grep -qaF "$PWD" "$out.new"; then die "the library names a folder of this machine"; fi
mv "$out.new" "$out"
say "$out, $size bytes (bound $size_max), needs glibc $glibc or later"
