# Seawall. `make` lists what can be made; `make demo` and `make test` get what they need themselves.
.DEFAULT_GOAL := help
.PHONY: help setup wasm module envoy harness lint test e2e properties bench bench-envoy chaos chaos-envoy demo replay matrix docs oci dist clean
CARGO := cargo
OUT := out

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: wasm envoy ## the filter's compiler and a real Envoy, from wherever they can be had

wasm: ## dist/seawall.wasm
	@scripts/build-wasm.sh

module: ## dist/libseawall.so: the filter as an Envoy dynamic module (docs/module.md)
	@scripts/build-module.sh

envoy:
	@scripts/envoy.sh >/dev/null

harness: ## the programs seawall, seawall-upstream, seawall-demo, seawall-bench-envoy and seawall-chaos-envoy, in target/release
	$(CARGO) build --workspace --release --locked --bins

lint: ## formatting, clippy without warnings, shell scripts, licences
	@scripts/lint.sh

test: setup ## all tests, the real Envoy's among them
	@scripts/test.sh

e2e: setup $(if $(filter module,$(BODY)),module) ## the tests in a real Envoy alone (BODY=module: on the dynamic module)
	SEAWALL_BODY=$(BODY) $(CARGO) test --workspace --release --locked --test e2e -- --test-threads=4

properties: ## all 10,000 seeds of the properties over random policies
	SEAWALL_PROPERTY_SEEDS=10000 $(CARGO) test --workspace --release --locked --test properties

bench: wasm harness ## what a request costs in fuel and host calls, against the stored baseline (UPDATE=1 stores it)
	@target/release/seawall bench --baseline test-harness/benches/baseline.json \
		$(if $(UPDATE),--update --docs docs/performance.md)

bench-envoy: setup module harness ## what a request costs in a real Envoy, 10 minutes (QUICK=1: 2; UPDATE=1 writes docs/performance.md)
	@target/release/seawall-bench-envoy $(if $(QUICK),--quick) $(if $(UPDATE),--docs docs/performance.md)

chaos: wasm harness ## all chaos experiments in the simulation: with Seawall, without it, with Envoy's own means
	@target/release/seawall chaos run examples/experiments/*.yaml --out $(OUT)/chaos \
		--report $(OUT)/chaos/index.html --history $(OUT)/chaos/history.jsonl

chaos-envoy: setup harness ## the same on real Envoys in real time, and whether their verdicts are the simulation's (ten minutes)
	@target/release/seawall chaos run examples/experiments/*.yaml --on envoy --out $(OUT)/chaos-envoy

demo: setup harness ## a profile page on three lanes while a part of it gets sick (74 seconds)
	@target/release/seawall-demo

replay: wasm harness ## an outage replayed on a virtual clock
	@mkdir -p $(OUT)
	@target/release/seawall trace generate --rate 200 --for 300s -o $(OUT)/trace.jsonl
	@target/release/seawall replay --trace $(OUT)/trace.jsonl --policy examples/policies/enforce.yaml \
		--fault errors,at=60s,for=60s --workers 4 --out $(OUT)

matrix: setup harness ## the tests in a real Envoy on five versions, and the table in README.md (half an hour)
	@scripts/matrix.sh

docs: ## the documentation as a site with a search, in out/docs
	@scripts/docs.sh

oci: wasm ## the filter as OCI images, in dist/oci
	@scripts/oci.py make dist/seawall.wasm $$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1) dist/oci
	@scripts/oci.py check dist/seawall.wasm dist/oci

dist: wasm ## dist/release: all that is given on, with checksums and a bill of materials
	@scripts/dist.sh

clean: ## what was built; .tools/ stays
	rm -rf target dist $(OUT)
