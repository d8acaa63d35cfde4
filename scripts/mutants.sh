#!/usr/bin/env bash
# Seeded bugs: each file of test-harness/tests/explore/mutants/ is put into a copy of the sources, built, and looked for by
# `seawall explore`, then by the tests of interleavings and records. Says which found it, and in how many seconds.
#
#   scripts/mutants.sh            all of them
#   scripts/mutants.sh lost-update drawn-03
#
# NAME.sed is a sed script (-E) with a line "# file: PATH"; NAME.patch is a patch (-p1). The first line of either says what
# it is about. A line "# survives: WHY" is for one that nothing can find. Exit code 1: something survived that should not.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly root=$PWD
readonly mutants=test-harness/tests/explore/mutants
readonly tree=target/mutants/tree
readonly limit=150
export RUST_BACKTRACE=0
# Not for shipping: built fast.
export CARGO_PROFILE_WASM_LTO=off CARGO_PROFILE_WASM_CODEGEN_UNITS=16 CARGO_PROFILE_WASM_OPT_LEVEL=1

say() { printf '%s\n' "mutants: $*" >&2; }
die() {
    say "$*"
    exit 2
}

# What is in the sources now, the changes that are not committed among them. What is the same keeps its time.
copy_sources() {
    local file
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        [ -f "$file" ] || continue
        cmp -s "$file" "$tree/$file" && continue
        mkdir -p "$tree/$(dirname "$file")"
        cp "$file" "$tree/$file"
    done
    # What is gone here must not be found there.
    [ -d "$tree" ] && (cd "$tree" && find . -name target -prune -o -name '*.rs' -print) | while IFS= read -r file; do
        [ -f "$file" ] || rm "$tree/$file"
    done
}

put_in() { # mutant
    case "$1" in
        *.patch) patch --quiet --fuzz=3 -d "$tree" -p1 <"$1" ;;
        *.sed)
            local file
            file=$(sed -n 's/^# file: //p' "$1")
            sed -i -E -f "$1" "$tree/$file"
            ! cmp -s "$file" "$tree/$file"
            ;;
    esac
}

take_out() { # mutant
    local file
    # shellcheck disable=SC2013  # names of files here have no spaces
    for file in $(sed -n -e 's/^# file: //p' -e 's,^+++ b/,,p' "$1"); do
        cp "$file" "$tree/$file"
        rm -f "$tree/$file.orig" "$tree/$file.rej"
    done
}

# The build's own bound on size is for what is shipped.
build() {
    rm -f "$tree/dist/seawall.wasm"
    (cd "$tree" && scripts/build-wasm.sh) >target/mutants/build.log 2>&1
    [ -s "$tree/dist/seawall.wasm" ]
}

explored() {
    timeout "$limit" target/release/seawall explore --first --wasm "$tree/dist/seawall.wasm" --json >target/mutants/report.json 2>target/mutants/explore.log
    case $? in
        # Too slow a machine proves nothing.
        0 | 124) return 1 ;;
        3)
            found=$(awk -F '"' '/"scenario":/ {s = $4} /"invariant":/ {print s ": " $4; exit}' target/mutants/report.json)
            by="explore"
            ;;
        *) found=$(tail -n 1 target/mutants/explore.log) by="explore" ;;
    esac
}

tested() {
    local log=target/mutants/tests.log
    SEAWALL_WASM="$root/$tree/dist/seawall.wasm" timeout "$limit" "$filter_tests" \
        permits:: interleaved:: retry_budget:: hostile:: config::a_new_configuration >"$log" 2>&1
    case $? in 0 | 124) return 1 ;; esac
    found=$(sed -n 's/^    \([a-z_:]*\)$/\1/p' "$log" | sort -u | head -n 1)
    by="filter tests"
}

proved() {
    local log=target/mutants/proved.log
    (cd "$tree" && cargo test --quiet --release --locked -p seawall-policy -p seawall-native --lib --test breaker --test core --no-run) >"$log" 2>&1
    begin=$SECONDS
    (cd "$tree" && timeout "$limit" cargo test --quiet --release --locked -p seawall-policy -p seawall-native --lib --test breaker --test core) >"$log" 2>&1
    case $? in 0 | 124) return 1 ;; esac
    found=$(sed -n 's/^    \([a-z_:]*\)$/\1/p' "$log" | sort -u | head -n 1)
    by="policy tests"
}

line() { # result, name, seconds, what
    printf '%-9s %-18s %-12s %3s s  %s\n' "$1" "$2" "$by" "$3" "$4"
}

mkdir -p target/mutants
# The selection of `make test`: another one would build all that the harness stands on once more.
cargo build --quiet --workspace --release --locked --bins || die "the harness does not build"
filter_tests=$(cargo test --workspace --release --locked --test filter --no-run 2>&1 | sed -n 's/.*(\(target[^)]*\)).*/\1/p')
[ -x "$filter_tests" ] || die "the tests of the filter do not build"
filter_tests=$root/$filter_tests
copy_sources
build || die "the filter does not build: $(tail -n 1 target/mutants/build.log)"
by=nothing found=""
if explored || tested; then
    die "something is found without any bug ($by): $found"
fi

if [ $# -eq 0 ]; then
    set -- "$mutants"/*.sed "$mutants"/*.patch
else
    names=()
    for name in "$@"; do names+=("$(ls "$mutants/$name".*)"); done
    set -- "${names[@]}"
fi
wrong=0
for mutant in "$@"; do
    name=$(basename "${mutant%.*}")
    why=$(sed -n 's/^# survives: //p' "$mutant")
    by=- found=""
    if ! put_in "$mutant"; then
        line STALE "$name" 0 "it fits the sources no longer"
        take_out "$mutant"
        wrong=1
        continue
    fi
    if ! build; then
        line unbuilt "$name" 0 "$(grep -m 1 '^error' target/mutants/build.log)"
        take_out "$mutant"
        continue
    fi
    begin=$SECONDS
    if explored || { begin=$SECONDS && tested; } || proved; then
        line found "$name" $((SECONDS - begin)) "$found"
        [ -z "$why" ] || { wrong=1 && say "$name is found after all: take its \"survives\" out"; }
    elif [ -n "$why" ]; then
        line survives "$name" $((SECONDS - begin)) "$why"
    else
        line SURVIVES "$name" $((SECONDS - begin)) "$(sed -n '1s/^# //p' "$mutant")"
        wrong=1
    fi
    take_out "$mutant"
done
exit "$wrong"
