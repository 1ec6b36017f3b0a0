# On a Debian machine with Rust, the targets install the packages that they need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/release/osm-cni
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

.PHONY: help build demo test test-containerd test-nft test-differential test-kyverno test-helm4 prove test-kernels test-kernels-short test-headers test-image image cluster cluster-down cluster-kyverno test-cluster test-conformance bench soak fuzz deny advisories release reproduce lint lint-install clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: ## build the static release binary, target/release/osm-cni
	@scripts/needs.sh build
	scripts/build.sh

demo: ## make connections through a real CNI chain and show where they arrive
	@scripts/needs.sh demo
	@$(MAKE) --no-print-directory build
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo run --locked --quiet --package osm-cni-demo

test: ## run everything: format, lints, docs, all tests, each fuzz target for 5 s
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory lint build
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked
	cargo test --locked --package osm-cni-bench --bin bench

CONTAINERD ?= installed

test-containerd: ## run pods with containerd and Envoy; CONTAINERD=newest for Debian's newest
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_CONTAINERD=$(CONTAINERD) OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked --test main containerd:: -- --nocapture

SOAK_SECONDS ?= 600

HOSTILE_SECONDS ?= 60

soak: ## start and stop pods for SOAK_SECONDS (600) and look for leftovers; then hostile agents for a minute
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	SOAK_SECONDS=$(SOAK_SECONDS) OSM_CNI_BIN=$(CURDIR)/$(BINARY) \
	    cargo test --locked --test main containerd::soak -- --nocapture
	HOSTILE_SECONDS=$(HOSTILE_SECONDS) OSM_CNI_BIN=$(CURDIR)/$(BINARY) \
	    cargo test --locked --test main node::hostile -- --nocapture

test-nft: ## list and load our rules with Debian's newest nft and iptables
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked --test main -- kernel::newest kernel::neighbours

test-differential: ## compare connections with OSM's own rules, for random configurations
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_CONFIGS=$${OSM_CNI_CONFIGS:-250} \
	    cargo test --locked --test main traffic:: -- --nocapture --skip containerd::

test-kyverno: ## test the policies with Kyverno's program, which Go builds in some minutes
	@scripts/needs.sh test
	cargo test --locked --test main packaging::policies -- --include-ignored

test-helm4: ## compare what Helm 4 and Helm 3 make of the chart; Go builds both in some minutes
	@scripts/needs.sh test
	cargo test --locked --test main packaging::chart -- --include-ignored

OSM_CNI_PROOFS ?= 300

prove: ## compare our rules with OSM's for all packets, by z3, for OSM_CNI_PROOFS (300) configurations
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_PROOFS=$(OSM_CNI_PROOFS) \
	    cargo test --locked --test main traffic::proof -- --nocapture

# The Debian suites that the kernels are from.
KERNELS ?= bullseye bookworm trixie newest
export SELECTED ?= all

test-kernels: ## run tests on Debian's kernels, 5.10 to the newest, in virtual machines
	@scripts/needs.sh kernels
	@$(MAKE) --no-print-directory build
	tests/kernels/run.sh $(BINARY) $(KERNELS)

test-kernels-short: ## run a part of them on the oldest and the newest kernel
	@$(MAKE) --no-print-directory SELECTED=short KERNELS='bullseye newest' test-kernels

test-headers: ## compile the library with the kernel headers of Debian 11, 12 and the newest
	@scripts/needs.sh build
	scripts/headers.sh

test-image: ## build the Dockerfile; its program must have the bytes of `make release`
	@scripts/needs.sh test-image
	@$(MAKE) --no-print-directory build
	@scripts/test-image.sh

image: ## build the image osm-cni:VERSION with Docker or podman
	@scripts/needs.sh image
	scripts/image.sh osm-cni:$(VERSION)

cluster: ## create a cluster with osm-cni in it; `make cluster-down` removes it
	@scripts/needs.sh cluster
	@KEEP=1 tests/cluster/test.sh -test.run TestInstallation

cluster-down: ## remove the cluster that `make cluster` or KEEP=1 left
	@tests/cluster/cluster.sh down

test-cluster: ## test install/ and pods on a cluster; KEEP=1 keeps it
	@scripts/needs.sh cluster
	@tests/cluster/test.sh

cluster-kyverno: ## test the policies with Kyverno's admission controller, on such a cluster; KEEP=1 keeps it
	@scripts/needs.sh cluster
	@tests/cluster/kyverno.sh

test-conformance: ## run Kubernetes' own tests on such a cluster; FOCUS=REGEX, PARALLEL=4, KEEP=1
	@scripts/needs.sh cluster
	@tests/cluster/conformance.sh

# The flags of cargo-fuzz on a stable compiler: coverage for libFuzzer, and no
# sanitizer, because no code of ours is unsafe. Panics and overflows are caught.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= call annotations settings merge conflist directory dump log_line cache sanitize
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

fuzz: ## run libFuzzer on every parser, FUZZ_SECONDS (60) each; crashes are in fuzz/artifacts
	@scripts/needs.sh fuzz
	cd fuzz && RUSTFLAGS='$(FUZZ_FLAGS)' cargo build --release --locked --target $(TARGET)
	@scripts/fuzz.sh fuzz/target/$(TARGET)/release $(FUZZ_SECONDS) $(FUZZ_TARGETS)

release: ## write the binary, its bill of materials and checksums to dist/
	@$(MAKE) --no-print-directory build
	@rm -rf dist && mkdir dist
	@install -m 0755 $(BINARY) dist/osm-cni-$(VERSION)-$(TARGET)
	@scripts/sbom.sh $(TARGET) > dist/osm-cni-$(VERSION)-$(TARGET).cdx.json
	@cd dist && sha256sum osm-cni-* > SHA256SUMS && cat SHA256SUMS

reproduce: ## build twice, in two directories, and compare the bytes
	@scripts/reproduce.sh

# Built once, without optimization, into this checkout; takes two minutes.
DENY_VERSION := 0.20.2
DENY_ROOT := target/tools/cargo-deny-$(DENY_VERSION)
DENY := $(DENY_ROOT)/bin/cargo-deny --locked --log-level error

$(DENY_ROOT)/bin/cargo-deny:
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --no-track \
	    --root $(DENY_ROOT) --version $(DENY_VERSION) cargo-deny

deny: $(DENY_ROOT)/bin/cargo-deny ## check licences, bans and sources of all dependencies
	$(DENY) --workspace check licenses bans sources
	$(DENY) --manifest-path fuzz/Cargo.toml check licenses bans sources

advisories: $(DENY_ROOT)/bin/cargo-deny ## check all dependencies for known vulnerabilities; fetches the list
	$(DENY) --workspace check advisories
	$(DENY) --manifest-path fuzz/Cargo.toml check advisories

lint: ## check format, clippy, docs, dependencies and shell scripts
	@scripts/needs.sh lint
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items --quiet
	shellcheck -x scripts/*.sh tests/support/*.sh tests/kernels/*.sh tests/kernels/init \
	    tests/cluster/*.sh tests/cluster/node/*.sh tests/cluster/conformance/*.sh .ci/run
	@$(MAKE) --no-print-directory deny

lint-install: ## check manifests, chart and workflows with helm, kubeconform and actionlint; needs Go
	@scripts/needs.sh lint-install
	scripts/lint-install.sh

bench: ## measure osm-cni, what it replaces, and the minimal program
	@scripts/needs.sh bench
	@$(MAKE) --no-print-directory build
	cargo build --release --locked -p osm-cni-bench
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_FLOORS=$(CURDIR)/target/$(TARGET)/release \
	    target/$(TARGET)/release/bench $(ROUNDS)

clean: ## remove what was built
	cargo clean
