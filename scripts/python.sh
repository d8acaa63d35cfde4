#!/usr/bin/env bash
# Makes a virtual environment in .tools/python with the packages of PyPI that are named, and prints the path of its python.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly venv=.tools/python
say() { printf '%s\n' "python: $*" >&2; }

if [ ! -x "$venv/bin/pip" ]; then
    command -v python3 >/dev/null || { say "needs python3: apt-get install python3 python3-venv"; exit 1; }
    rm -rf "$venv"
    mkdir -p .tools
    python3 -m venv "$venv" >&2 || { say "python3 cannot make virtual environments: apt-get install python3-venv"; exit 1; }
fi
for package in "$@"; do
    # Exact versions, so that the same checks run everywhere.
    if [ ! -e "$venv/have-$package" ]; then
        say "fetching $package from PyPI"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$package" >&2
        touch "$venv/have-$package"
    fi
done
printf '%s\n' "$PWD/$venv/bin/python"
