#!/usr/bin/env bash
# Opens seawall's reports and the page of a suite in a headless Chromium, over file:// and without a network: figures, keys, brush, light and dark,
# narrow, printed, and what axe-core finds. --screenshot makes docs/report.png of the first one, too.
#
# Needs node with npm, and a Chromium: one that is here (or CHROMIUM=FILE), or as root Debian's, which is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED the report in a browser: $*"
    exit 0
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

executable() {
    local name
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [ -n "$name" ] && command -v "$name" >/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

browser() {
    executable >/dev/null && return
    command -v apt-get >/dev/null || skip "there is no Chromium and no apt-get"
    [ "$(id -u)" = 0 ] || skip "there is no Chromium, and only root can install one"
    echo "report: fetching Debian's chromium"
    apt-get update -qq >"$work/apt" 2>&1 || skip "apt-get update failed: $(tail -n 1 "$work/apt")"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >"$work/apt" 2>&1 ||
        skip "chromium cannot be installed: $(tail -n 1 "$work/apt")"
    executable >/dev/null || skip "chromium was installed and is not found"
}

tools=.tools/report
packages() {
    if [ -d "$tools/node_modules/puppeteer-core" ] && [ -d "$tools/node_modules/axe-core" ]; then return; fi
    echo "report: fetching puppeteer-core and axe-core from npm"
    mkdir -p "$tools"
    [ -f "$tools/package.json" ] || echo '{"private": true}' >"$tools/package.json"
    npm install --prefix "$tools" --silent --no-audit --no-fund --ignore-scripts puppeteer-core@24 axe-core@4 >"$work/npm" 2>&1 ||
        skip "puppeteer-core and axe-core cannot be fetched: $(tail -n 1 "$work/npm")"
}

command -v node >/dev/null || skip "there is no node"
command -v npm >/dev/null || skip "there is no npm"
browser
packages
cargo build --quiet --workspace --release --locked --bins
seawall=$PWD/target/release/seawall
# What it says matters where it fails alone; 1 is a missed criterion, and the report is written.
replay() {
    "$seawall" replay "$@" >"$work/said" 2>&1 || [ $? = 1 ] || {
        cat "$work/said"
        exit 1
    }
}

# An outage, with priorities and criteria, beside an earlier run with another policy.
cat >"$work/policy.yaml" <<'END'
version: 1
policies:
  default:
    timeout: {total: 3s}
    retries: {}
    fallback:
      - static: {status: 200, body: "[]"}
END
"$seawall" trace generate --rate 150 --for 300s --priorities critical=2,sheddable=1 -o "$work/trace.jsonl" 2>/dev/null
outage=(--trace "$work/trace.jsonl" --fault "hang,at=60s,for=60s" --fault "errors,at=180s,for=30s,share=40")
replay "${outage[@]}" --policy examples/policies/start.yaml --out "$work/earlier"
(
    # So that the command on the page names no place of this machine.
    cp "$work/earlier/report.json" dist/seawall.wasm "$work/"
    cd "$work"
    replay --trace trace.jsonl --policy policy.yaml --wasm seawall.wasm "${outage[@]:2}" --compare-with report.json \
        --criteria 'success>=75%' --criteria 'p99<500ms' --criteria 'amplification<=1.1' --html outage.html
)
# A limit and a bulkhead, which are shown beside what is in flight.
cat >"$work/limits.yaml" <<'END'
version: 1
policies:
  default:
    bulkhead: {max_concurrent: 40}
    shedding: {limit: adaptive}
END
"$seawall" trace generate --rate 200 --for 60s -o "$work/busy.jsonl" 2>/dev/null
replay --trace "$work/busy.jsonl" --fault latency,at=20s,for=20s,by=300ms --policy "$work/limits.yaml" --html "$work/limits.html"
grep -q '"limit":\[' "$work/limits.html" || {
    echo "report: the page with a limit has none"
    exit 1
}
# What a search tried.
"$seawall" trace generate --rate 50 --for 60s -o "$work/tuned.jsonl" 2>/dev/null
"$seawall" tune --trace "$work/tuned.jsonl" --fault errors,at=20s,for=15s --budget 40 --out "$work/tuned" >"$work/said" 2>&1 || [ $? = 1 ] || {
    cat "$work/said"
    exit 1
}
# Nothing goes wrong, and nothing is asked for.
"$seawall" trace generate --rate 50 --for 20s -o "$work/well.jsonl" 2>/dev/null
replay --trace "$work/well.jsonl" --policy examples/policies/start.yaml --html "$work/well.html"
# Names that are meant to break a page: of clusters in the trace and in the policy, and of a file.
hostile='</script><img src=x onerror=alert(1)>'
awk -v name="$hostile" 'NR > 1 {sub(/^\{/, "{\"cluster\":\"" name "\",")} {print}' "$work/well.jsonl" >"$work/it's <b>&.jsonl"
printf 'version: 1\npolicies:\n  default:\n    breaker: {consecutive: 3}\n  other: {}\nupstreams:\n  - {cluster: "x<img src=y>", policy: other}\n' >"$work/hostile.yaml"
replay --trace "$work/it's <b>&.jsonl" --policy "$work/hostile.yaml" --fault errors,at=5s,for=5s --html "$work/hostile.html"
grep -q 'u003cimg src=x onerror' "$work/hostile.html" || {
    echo "report: the hostile page holds no hostile name"
    exit 1
}

# A suite with a trend of twelve runs, one without, and one in which an experiment fails and has a hostile title.
suite() {
    "$seawall" chaos run "$@" --today 2026-01-31 >"$work/said" 2>&1 || [ $? = 1 ] || {
        cat "$work/said"
        exit 1
    }
}
mkdir "$work/suite"
experiments=(examples/experiments/{error-burst,kill-instance,overload-2x}.yaml)
suite "${experiments[@]}" --report "$work/suite/alone.html" --history "$work/suite/runs.jsonl"
run=$(cat "$work/suite/runs.jsonl")
for number in {2..12}; do
    day=$(printf '2026-01-%02d' "$number")
    sed "s/2026-01-31/$day/; s/\"mttr_median_ms\":[0-9]*/\"mttr_median_ms\":${number}700/" <<<"$run"
done >"$work/suite/runs.jsonl"
suite "${experiments[@]}" --out "$work/suite" --report "$work/suite/trend.html" --history "$work/suite/runs.jsonl"
sed "s|^title: .*|title: '$hostile'|; s/range: \[0, 0.2\]/range: [0, 0]/" examples/experiments/error-burst.yaml >"$work/it's <b>&.yaml"
suite "$work/it's <b>&.yaml" --report "$work/suite/hostile.html"

picture=()
if [ "${1:-}" = --screenshot ]; then picture=(--screenshot docs/report.png); fi
node scripts/report-page.mjs "$tools" "$(executable)" "${picture[@]}" "$work/outage.html" "$work/well.html" "$work/hostile.html" \
    "$work/limits.html" "$work/tuned/report.html" "$work/suite/"{alone,trend,hostile}.html
