#!/usr/bin/env bash
# The documentation: the site builds, links lead somewhere, policies are valid, the guide's commands work.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --workspace --release --locked --bins
scripts/docs.sh
scripts/docs-commands.py target/release/seawall
