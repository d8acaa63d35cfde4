#!/usr/bin/env bash
# The rules and the dashboard: promtool's checks and unit tests, Alertmanager's routes, and all of it on a real Prometheus
# that scrapes real Envoys with the filter under load.
set -euo pipefail
cd "$(dirname "$0")/.."

programs=$(scripts/prometheus.sh)
python=$(scripts/python.sh pyyaml==6.0.3)
envoy=$(scripts/envoy.sh)
cargo build --quiet --workspace --release --locked --bins

rules=examples/prometheus
"$programs/promtool" check config $rules/prometheus.yaml >/dev/null
"$programs/promtool" test rules $rules/tests/*.yaml | grep -v '^$'
"$python" scripts/prometheus-rules.py "$programs/promtool"
"$programs/amtool" check-config $rules/alertmanager.yaml >/dev/null
route() { "$programs/amtool" config routes test --config.file=$rules/alertmanager.yaml "$@"; }
[ "$(route alertname=SeawallUpstreamDown severity=page upstream=u)" = pager ]
[ "$(route alertname=SeawallClientsLeaveOrAttack severity=ticket upstream=u)" = tickets ]
"$python" scripts/prometheus-live.py "$programs" "$envoy" target/release/seawall-upstream "$PWD/dist/seawall.wasm"
