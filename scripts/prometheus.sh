#!/usr/bin/env bash
# Gets Prometheus, promtool, Alertmanager and amtool into .tools/prometheus and prints the directory that holds them.
#
# Debian's packages hold them; they are unpacked, not installed, so nothing is started. PROMETHEUS_BIN names a directory that
# has them already.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly tools=.tools/prometheus
readonly programs=(prometheus promtool prometheus-alertmanager amtool)
say() { printf '%s\n' "prometheus: $*" >&2; }

complete() { # directory
    local program
    for program in "${programs[@]}"; do [ -x "$1/$program" ] || return 1; done
}

if [ -n "${PROMETHEUS_BIN:-}" ]; then
    complete "$PROMETHEUS_BIN" || { say "PROMETHEUS_BIN is '$PROMETHEUS_BIN', which lacks one of ${programs[*]}"; exit 1; }
    printf '%s\n' "$PROMETHEUS_BIN"
    exit 0
fi
if ! complete "$tools/usr/bin"; then
    command -v apt-get >/dev/null || { say "needs apt-get, or PROMETHEUS_BIN=DIRECTORY with ${programs[*]}"; exit 1; }
    say "fetching Debian's prometheus and prometheus-alertmanager (about 30 MB): the rules and the dashboard are run in them"
    rm -rf "$tools"
    mkdir -p "$tools"
    fetch() { (cd "$tools" && apt-get download -qq prometheus prometheus-alertmanager >/dev/null 2>fetch.log); }
    # The lists of packages may be old, or not be there at all.
    if ! fetch; then
        as_root=()
        [ "$(id -u)" = 0 ] || as_root=(sudo)
        "${as_root[@]}" apt-get update -qq >&2
        fetch || { say "cannot be fetched: $(tail -n 1 "$tools/fetch.log")"; exit 1; }
    fi
    for package in "$tools"/*.deb; do dpkg -x "$package" "$tools"; done
    rm "$tools"/*.deb
    complete "$tools/usr/bin" || { say "the packages lack one of ${programs[*]}"; exit 1; }
fi
printf '%s\n' "$PWD/$tools/usr/bin"
