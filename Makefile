# osm-cni. On a Debian machine with Rust, `make demo` and `make test` do all the
# set-up by themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/release/osm-cni
# The variable that cargo reads flags for one target from.
FLAGS := CARGO_TARGET_$(shell echo '$(TARGET)' | tr 'a-z-' 'A-Z_')_RUSTFLAGS

.PHONY: help build demo test test-containerd test-differential test-kind lint bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: ## the static release binary, at target/release/osm-cni
	@scripts/needs.sh build
	$(FLAGS)='-C target-feature=+crt-static' \
	    cargo build --release --locked --target $(TARGET) --bin osm-cni
	@install -D target/$(TARGET)/release/osm-cni $(BINARY)

demo: ## real connections through a real chain, and where they arrive
	@scripts/needs.sh demo
	@$(MAKE) --no-print-directory build
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo run --locked --quiet --package osm-cni-demo

test: ## format, lints, docs and every test
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory lint build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked

test-containerd: ## real pods under a real containerd, with a real Envoy
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked --test main containerd:: -- --nocapture

test-differential: ## random configurations: our traffic against OSM's own rules
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_CONFIGS=$${OSM_CNI_CONFIGS:-250} \
	    cargo test --locked --test main traffic:: -- --nocapture --skip containerd::

test-kind: ## the manifests on a real cluster; needs Docker, kind and kubectl
	tests/kind/run.sh

lint: ## format, clippy, docs and shell scripts
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	shellcheck scripts/*.sh tests/support/*.sh tests/kind/*.sh .ci/run

bench: ## how long it takes, beside what it replaces and the floors below
	@scripts/needs.sh bench
	@$(MAKE) --no-print-directory build
	$(FLAGS)='-C target-feature=+crt-static' \
	    cargo build --release --locked --target $(TARGET) -p osm-cni-bench
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_FLOORS=$(CURDIR)/target/$(TARGET)/release \
	    target/$(TARGET)/release/bench $(ROUNDS)

clean: ## removes what was built
	cargo clean
