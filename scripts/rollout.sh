#!/usr/bin/env bash
# Rolls an earlier module out beside this one, and back. See scripts/rollout.sh --help.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'END'
Usage: scripts/rollout.sh REV

Builds the module of an earlier revision in a temporary folder, and tests it beside the module of this tree: in a real
Envoy under load (config::updates, by LDS and ECDS) and in the project's own host (shared::rollout). No request may fail,
no breaker may trip falsely, and what is open must stay open. It takes about ten minutes.

  REV   a commit, a tag or a branch

Variables:
  SEAWALL_LOAD_SECONDS   for how long each test in Envoy loads it; 60 unless it is set

Examples:
  scripts/rollout.sh v0.1.0
  SEAWALL_LOAD_SECONDS=10 scripts/rollout.sh HEAD~20
END
}

say() { printf '%s\n' "rollout: $*" >&2; }
die() {
    say "$*"
    exit 1
}

case "${1:-}" in
    -h | --help)
        usage
        exit 0
        ;;
esac
if [ $# -ne 1 ]; then
    usage >&2
    exit 2
fi
revision=$(git rev-parse --verify --quiet --end-of-options "$1^{commit}") ||
    die "'$1' is no revision of this repository: write a commit, a tag or a branch (a shallow clone has few of them)"

work=$(mktemp -d)
readonly work tree=$work/tree earlier=$work/earlier.wasm
# shellcheck disable=SC2329  # trap calls it
cleanup() {
    if [ -e "$tree/.git" ]; then git worktree remove --force "$tree"; fi
    rm -rf "$work"
    git worktree prune
}
trap cleanup EXIT

say "building the module of $(git log -1 --format='%h %s' "$revision")"
git worktree add --quiet --detach "$tree" "$revision"
make --no-print-directory -C "$tree" wasm
cp "$tree/dist/seawall.wasm" "$earlier"

make --no-print-directory setup
export SEAWALL_OLD_WASM=$earlier
export SEAWALL_LOAD_SECONDS=${SEAWALL_LOAD_SECONDS:-60}

run() { # suite, tests
    local log=$work/$1.log
    say "$1 tests: $2"
    cargo test --workspace --release --locked --test "$1" -- --nocapture --test-threads=2 "$2" 2>&1 | tee "$log"
    # A name that no test has is no success.
    grep -q '^test result: ok\. [1-9]' "$log" || die "no test of $1 is named $2"
}
run filter shared::rollout
run e2e config::updates
say "well: $(git rev-parse --short "$revision") and this tree, side by side and back"
