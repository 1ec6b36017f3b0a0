# osm-cni. On a Debian machine with Rust, `make demo` and `make test` do all the
# set-up by themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/release/osm-cni
# The variable that cargo reads flags for one target from.
FLAGS := CARGO_TARGET_$(shell echo '$(TARGET)' | tr 'a-z-' 'A-Z_')_RUSTFLAGS

.PHONY: help build demo test lint test-all bench clean

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
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo run --locked --quiet --example demo

test: ## format, lints, docs and every test
	@scripts/needs.sh test
	@$(MAKE) --no-print-directory lint build
	OSM_CNI_BIN=$(CURDIR)/$(BINARY) cargo test --locked

lint: ## format, clippy, docs and shell scripts
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --quiet
	shellcheck scripts/*.sh .ci/run

bench: ## how long it takes, beside what it replaces and the floors below
	@scripts/needs.sh bench
	@$(MAKE) --no-print-directory build
	$(FLAGS)='-C target-feature=+crt-static' cargo build --release --locked --quiet \
	    --target $(TARGET) --example floor-empty --example floor-minimal --example launch
	@OSM_CNI_BIN=$(CURDIR)/$(BINARY) OSM_CNI_FLOORS=$(CURDIR)/target/$(TARGET)/release/examples \
	    cargo run --locked --quiet --example bench $(ROUNDS)

clean: ## removes what was built
	cargo clean
