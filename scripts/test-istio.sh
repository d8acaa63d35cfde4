#!/usr/bin/env bash
# The manifests for Istio, Envoy Gateway, autoscaling and scheduled drills: seawall check reads them, they have the published types of their kinds,
# and a real Envoy takes what they make of it.
#
# Not run on a real Istio or Envoy Gateway. ISTIO_CRDS names a directory with Istio's own CRDs, as manifests/charts/base/files of a
# release holds them; then they are checked against those, too.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED the manifests: $*"
    exit 0
}

command -v node >/dev/null || skip "there is no node"
command -v npm >/dev/null || skip "there is no npm"
tools=.tools/manifests
if [ ! -e "$tools/complete" ]; then
    echo "manifests: fetching the types of Kubernetes', Istio's and KEDA's kinds, typescript and yaml from npm"
    mkdir -p "$tools"
    echo '{"private": true, "type": "module"}' >"$tools/package.json"
    npm install --prefix "$tools" --silent --no-audit --no-fund --ignore-scripts kubernetes-models@5.1.0 \
        @kubernetes-models/istio@3.0.1 @kubernetes-models/keda@2.0.0 typescript@5 yaml@2 >"$tools/npm" 2>&1 ||
        skip "they cannot be fetched: $(tail -n 1 "$tools/npm")"
    touch "$tools/complete"
fi
python=$(scripts/python.sh pyyaml==6.0.3 jsonpath-ng==1.7.0)
envoy=$(scripts/envoy.sh)
cargo build --quiet --workspace --release --locked --bins

istio=examples/istio
gateway=examples/envoy-gateway
# These are meant to be applied together: nothing in them fights the rest.
for plugin in $istio/wasmplugin.yaml $istio/trafficextension.yaml; do
    said=$(target/release/seawall check --together "$plugin" $istio/envoyfilter-upstream.yaml $istio/destinationrule.yaml)
    printf '%s\n' "$said"
    if grep -q ': warning: ' <<<"$said"; then exit 1; fi
done
target/release/seawall check $istio/trafficextension-*.yaml $gateway/envoyextensionpolicy.yaml $gateway/envoypatchpolicy.yaml $gateway/module.yaml
node scripts/manifests.mjs "$tools" $istio/*.yaml examples/autoscaling/hpa.yaml examples/autoscaling/scaledobject.yaml \
    examples/experiments/kubernetes/cronjob.yaml
"$python" scripts/manifests.py "$envoy"
if [ -n "${ISTIO_CRDS:-}" ]; then
    cargo test --workspace --release --locked --test istio -- --ignored
fi
