# Everything a contributor or CI runs. `make help` lists it. Build outputs live outside the clone, so a second clone does not pay again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CROSSTIE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/crosstie
export CARGO_TARGET_DIR ?= $(CROSSTIE_CACHE)/target
TOOLS := $(CROSSTIE_CACHE)/tools
CLUSTER := tests/cluster/cluster
CARGO_DENY := 0.20.2
NAME ?= orders_to_the_ledger
part := $(MAKE) --no-print-directory
# The test programs that run on a cluster; those of E2E as tests/on-cluster takes them.
E2E := orders_to_the_ledger+deals_to_a_channel+payment_to_fulfilment+rate_limited+edge_cases+a_small_stack+high_volume+no_key_in_code+faults+quiet disruption

# Everything is built for the whole workspace (`--workspace`), also where one package is wanted: `-p` chooses other features of shared
# dependencies, which would then be compiled a second time.

.PHONY: help
help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## ---- the two commands -------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## Orders from Shopify to NetSuite on a real Kubernetes, with a rotation; DEMO_ONCE=1 tears it down again
	@tests/demo

.PHONY: demo-down
demo-down: ## Ends what `make demo` left running
	@$(CLUSTER) down --name demo

.PHONY: test
test: setup fmt-check ## Every check, as CI runs them: first everything is built, then what needs processors runs beside what waits for clusters
	@tests/beside programs='$(part) programs tools' tests='$(part) clippy tests' images='$(part) images'
	@tests/beside checks='$(part) lint unit emulator' clusters='$(part) api rotation cluster-test e2e'
	@echo "every check passed"

## ---- parts of `make test` ---------------------------------------------------------------------------------------------

.PHONY: lint
lint: fmt-check clippy pure generated deny chart ## Format, lints, room rules, generated files, licences, chart

.PHONY: fmt
fmt: ## Formats the sources
	cargo fmt --all

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check

.PHONY: clippy
clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: pure
pure:
	tests/pure

.PHONY: generate
generate: ## Writes the CustomResourceDefinitions and the reference pages from the types
	cargo build --locked --workspace --bin crdgen --example functions
	$(CARGO_TARGET_DIR)/debug/crdgen docs/api.md crds/generated charts/crosstie/files/crds
	$(CARGO_TARGET_DIR)/debug/examples/functions > docs/mapping-functions.md

.PHONY: generated
generated: generate
	@git diff --exit-code -- crds/generated charts/crosstie/files docs/mapping-functions.md docs/api.md \
	  || { echo "generated files differ from the types: run 'make generate' and commit the result" >&2; exit 1; }

.PHONY: tools
tools: $(TOOLS)/cargo-deny-$(CARGO_DENY)

.PHONY: deny
deny: tools
	$(TOOLS)/bin/cargo-deny --log-level error check --hide-inclusion-graph bans licenses sources

$(TOOLS)/cargo-deny-$(CARGO_DENY):
	cargo install --quiet --locked --debug --root $(TOOLS) --target-dir $(TOOLS)/target cargo-deny@$(CARGO_DENY)
	rm -rf $(TOOLS)/target
	touch $@

.PHONY: chart
chart: programs
	tests/chart

.PHONY: unit
unit: ## Tests that need no cluster
	cargo test --locked --workspace

.PHONY: emulator
emulator: setup ## The operator's way to AWS, on the emulator with faults before it, without a cluster
	cargo test --locked --workspace --test emulator

.PHONY: programs
programs: setup
	@tests/cluster/build

.PHONY: tests
tests: setup
	cargo test --locked --workspace --no-run
	cargo build --locked --workspace --bin crosstie-vendors --bin aws-faults --bin crosstie-operator --bin kubectl-crosstie $(patsubst %,--test %,api rotation emulator $(subst +, ,$(E2E)))

.PHONY: api
api: programs ## The API as the API server enforces it
	@tests/on-cluster api-only api api

.PHONY: rotation
rotation: programs ## Rotations at the operator's process, killed at every step, and what it says searched for secret values
	@tests/on-cluster api-only rotation rotation

.PHONY: cluster-test
cluster-test: programs ## The test cluster itself
	@tests/cluster/selftest

.PHONY: e2e
e2e: programs ## Stories, faults and disruptions, on a real Kubernetes
	@tests/on-cluster full e2e $(E2E)

.PHONY: story
story: programs ## One story: make story NAME=orders_to_the_ledger
	@tests/on-cluster full story $(NAME)

.PHONY: bench
bench: setup ## Measures what worker, receiver, operator, client and rotations cost, one JSON line a figure; BENCH=worker, webhook, operator, connect or rotation chooses
	@tests/bench/run $(BENCH)

.PHONY: soak
soak: ## 200 histories against the worker's process, 200 kills over 20,000 records by each way to know what took effect, 100 over 10,000 webhooks, a replay of 10,000 letters, a backfill of a million that is stopped and killed, 500 rotations under load, 200 with the operator killed, 1,000 secret values searched for
	CROSSTIE_CASES=200 cargo test --locked -p crosstie-worker --test histories -- --nocapture
	CROSSTIE_KILLS=200 CROSSTIE_RECORDS=20000 cargo test --locked -p crosstie-worker --test killed -- --nocapture --test-threads 1 looked_up:: keyed:: unknown::
	CROSSTIE_WEBHOOKS=10000 CROSSTIE_WEBHOOK_KILLS=100 cargo test --locked -p crosstie-worker --test killed -- --nocapture --test-threads 1 webhooks::
	CROSSTIE_LETTERS=10000 cargo test --locked -p crosstie-worker --test letters -- --nocapture
	CROSSTIE_ROTATIONS=500 cargo test --locked -p crosstie-worker --test rotating -- --nocapture
	CROSSTIE_SECRETS=1000 cargo test --locked -p crosstie-worker --test secrecy -- --nocapture
	CROSSTIE_ROTATIONS=200 CROSSTIE_SECRETS=1000 $(part) rotation
	CROSSTIE_BACKFILL=1000000 cargo test --locked --release -p crosstie-worker --test windows a_backfill -- --nocapture

## ---- helpers ----------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: ## Installs what is needed (as root on Debian), or says precisely what is missing
	@tests/setup
	@tests/one-clone

.PHONY: images
images: setup ## Builds both images as tar files and prints their folder
	@images/build

.PHONY: cluster-up
cluster-up: programs ## Starts a Kubernetes of one node on this machine
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Ends it
	@$(CLUSTER) down
