# osm-cni. On a Debian machine with Rust, `make demo` and `make test` do all the
# set-up by themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/release/osm-cni
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

.PHONY: help build demo test test-containerd test-nft test-differential test-kyverno prove test-kernels test-kernels-short test-headers test-image image cluster cluster-down test-cluster test-conformance bench soak fuzz deny advisories release reproduce lint lint-install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: ## the static release binary, at target/release/osm-cni
	@scripts/needs.sh build
	scripts/build.sh

demo: ## real connections through a real chain, and where they arrive
	@scripts/needs.sh demo
	@$(MAKE) --no-print-directory build
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo run --locked --quiet --package osm-cni-demo

test: ## format, lints, docs, every test, and each fuzz target for 5 s
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory lint build
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked
	cargo test --locked --package osm-cni-bench --bin bench

CONTAINERD ?= installed

test-containerd: ## real pods under a real containerd, with a real Envoy; CONTAINERD=newest for Debian's newest
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_CONTAINERD=$(CONTAINERD) OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked --test main containerd:: -- --nocapture

SOAK_SECONDS ?= 600

soak: ## pods come and go for SOAK_SECONDS (600); nothing may stay
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	SOAK_SECONDS=$(SOAK_SECONDS) OSM_CNI_BIN=$(CURDIR)/$(BINARY) \
	    cargo test --locked --test main containerd::soak -- --nocapture

test-nft: ## the newest nft and iptables of Debian against what we set
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked --test main -- kernel::newest kernel::neighbours

test-differential: ## random configurations: our traffic against OSM's own rules
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_CONFIGS=$${OSM_CNI_CONFIGS:-250} \
	    cargo test --locked --test main traffic:: -- --nocapture --skip containerd::

test-kyverno: ## the policies by Kyverno's own program, which Go builds in some minutes
	@scripts/needs.sh test
	cargo test --locked --test main packaging::policies -- --include-ignored

OSM_CNI_PROOFS ?= 300

prove: ## z3 shows for OSM_CNI_PROOFS (300) configurations that no packet is treated otherwise
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_PROOFS=$(OSM_CNI_PROOFS) \
	    cargo test --locked --test main traffic::proof -- --nocapture

# Kernels, as the suites of Debian that they come from.
KERNELS ?= bullseye bookworm trixie newest
export SELECTED ?= all

test-kernels: ## Debian's kernels 5.10 to the newest in virtual machines, some minutes each
	@scripts/needs.sh kernels
	@$(MAKE) --no-print-directory build
	tests/kernels/run.sh $(BINARY) $(KERNELS)

test-kernels-short: ## the oldest and the newest of them, a part of the tests
	@$(MAKE) --no-print-directory SELECTED=short KERNELS='bullseye newest' test-kernels

test-headers: ## the library against the kernel headers of Debian 11, 12 and the newest
	@scripts/needs.sh build
	scripts/headers.sh

test-image: ## the Dockerfile's program must be the bytes of `make release`
	@scripts/needs.sh test-image
	@$(MAKE) --no-print-directory build
	@scripts/test-image.sh

image: ## the image osm-cni:VERSION, by Docker or podman
	@scripts/needs.sh image
	scripts/image.sh osm-cni:$(VERSION)

cluster: ## a two-node cluster to play with, osm-cni in it; `make cluster-down` removes it
	@scripts/needs.sh cluster
	@KEEP=1 tests/cluster/test.sh -test.run TestInstallation

cluster-down: ## removes the cluster that `make cluster` or KEEP=1 left
	@tests/cluster/cluster.sh down

test-cluster: ## install/ and pods on a real cluster; KEEP=1 keeps it
	@scripts/needs.sh cluster
	@tests/cluster/test.sh

test-conformance: ## Kubernetes' own tests on such a cluster; FOCUS=REGEX, PARALLEL=4, KEEP=1
	@scripts/needs.sh cluster
	@tests/cluster/conformance.sh

# What cargo-fuzz passes on a stable compiler: libFuzzer's coverage, and no
# sanitizer, since no code of ours is unsafe. Panics and overflows are caught.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= call annotations settings conflist dump log_line cache
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

fuzz: ## libFuzzer against every parser, FUZZ_SECONDS (60) each; crashes stay in fuzz/artifacts
	@scripts/needs.sh fuzz
	cd fuzz && RUSTFLAGS='$(FUZZ_FLAGS)' cargo build --release --locked --target $(TARGET)
	@scripts/fuzz.sh fuzz/target/$(TARGET)/release $(FUZZ_SECONDS) $(FUZZ_TARGETS)

release: ## dist/: the binary, its bill of materials, checksums
	@$(MAKE) --no-print-directory build
	@rm -rf dist && mkdir dist
	@install -m 0755 $(BINARY) dist/osm-cni-$(VERSION)-$(TARGET)
	@scripts/sbom.sh $(TARGET) > dist/osm-cni-$(VERSION)-$(TARGET).cdx.json
	@cd dist && sha256sum osm-cni-* > SHA256SUMS && cat SHA256SUMS

reproduce: ## two builds in two directories must be the same bytes
	@scripts/reproduce.sh

# Built without optimization: two minutes, once, into this checkout alone.
DENY_VERSION := 0.20.2
DENY_ROOT := target/tools/cargo-deny-$(DENY_VERSION)
DENY := $(DENY_ROOT)/bin/cargo-deny --locked --log-level error

$(DENY_ROOT)/bin/cargo-deny:
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --no-track \
	    --root $(DENY_ROOT) --version $(DENY_VERSION) cargo-deny

deny: $(DENY_ROOT)/bin/cargo-deny ## licences, bans and sources of all dependencies
	$(DENY) --workspace check licenses bans sources
	$(DENY) --manifest-path fuzz/Cargo.toml check licenses bans sources

advisories: $(DENY_ROOT)/bin/cargo-deny ## known defects of all dependencies; fetches the list of them
	$(DENY) --workspace check advisories
	$(DENY) --manifest-path fuzz/Cargo.toml check advisories

lint: ## format, clippy, docs, dependencies and shell scripts
	@scripts/needs.sh lint
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items --quiet
	shellcheck -x scripts/*.sh tests/support/*.sh tests/kernels/*.sh tests/kernels/init \
	    tests/cluster/*.sh tests/cluster/node/*.sh tests/cluster/conformance/*.sh .ci/run
	@$(MAKE) --no-print-directory deny

lint-install: ## manifests, chart and workflows, by helm, kubeconform and actionlint; needs Go
	@scripts/needs.sh lint-install
	scripts/lint-install.sh

bench: ## how long it takes, beside what it replaces and the floors below
	@scripts/needs.sh bench
	@$(MAKE) --no-print-directory build
	cargo build --release --locked -p osm-cni-bench
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_FLOORS=$(CURDIR)/target/$(TARGET)/release \
	    target/$(TARGET)/release/bench $(ROUNDS)

clean: ## removes what was built
	cargo clean
