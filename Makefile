# `make` alone lists the commands. Each does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
ARGS ?=
VENV := build/venv

.PHONY: help setup demo check test proof test-peers bench curves compare fmt lint wheel header schemas matrix install fuzz pins

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: ## check what is needed and make build/venv
	@scripts/setup

demo: ## compose and buy a web application on sandbox clouds; ARGS="--help" for the options
	@scripts/setup --rust
	@cargo run --profile demo -q -p fulcrum-examples --no-default-features --bin demo -- $(ARGS)

check: ## what each commit passes: format, warnings, unit tests
	@scripts/check

test: ## run all tests in all languages and print the totals
	@scripts/test

proof: ## the long runs, one line each; ARGS=--list tells the parts, ARGS="kills hosts" runs some
	@scripts/proof $(ARGS)

test-peers: ## run the adapters' tests against all real servers, slow ones too, with 200 orders each; ARGS="osb" for one
	@scripts/setup --rust
	@FULCRUM_PEERS=all FULCRUM_RUNS=$${FULCRUM_RUNS:-200} cargo test --workspace --test adapter --no-fail-fast -- \
		$(ARGS) --nocapture --test-threads 1

bench: ## run the benches
	@scripts/setup --rust
	@cargo bench -p fulcrum-benches -- $(ARGS)

curves: ## measure time and memory against the size of a market and write docs/curves.md; ARGS="--help" for the options
	@scripts/setup --rust
	@cargo run --release -q -p fulcrum-benches --bin curves -- --out docs $(ARGS)

compare: ## compare with other solvers; ARGS="deployment --only 'on 40'" for one of the comparisons
	@benches/peers/run $(ARGS)

fuzz: ## run fuzz targets, coverage-guided, under AddressSanitizer; ARGS="600 orders" for one, "--planted" to test them
	@scripts/fuzz $(ARGS)

fmt: ## format the code
	@scripts/fmt

lint: ## check format and warnings
	@scripts/fmt --check
	@cargo clippy --workspace --all-targets -- -D warnings

pins: ## write the hashes of the Python tools again
	@scripts/setup
	@$(VENV)/bin/python -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	@cd fulcrum-py && { echo '# What the Python tests need, with hashes: `make pins` makes it of requirements-dev.in.' && \
		../build/uv/bin/uv pip compile --quiet --universal --python-version 3.9 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url requirements-dev.in; } >../build/pins && mv ../build/pins requirements-dev.txt

wheel: ## build the Python wheel into build/wheels
	@scripts/setup
	@cd fulcrum-py && ../$(VENV)/bin/maturin build --release --strip --out ../build/wheels

header: ## write include/fulcrum.h again
	@FULCRUM_BLESS=1 cargo test -q -p fulcrum-market-ffi --test header

schemas: ## write schemas/*.json, Python's types of documents and what the README of the tables counts again
	@FULCRUM_BLESS=1 cargo test -q -p fulcrum-market-core --features adapters --test documents -- schemas shipped_counts
	@scripts/python-documents

matrix: ## write docs/adapters/matrix.md and docs/settings.md again
	@FULCRUM_BLESS=1 cargo test -q -p fulcrum-market-core --features adapters --test adapter matrix

install: ## install the C library and headers below PREFIX (default /usr/local); LIBDIR and DESTDIR as usual
	@scripts/setup --rust
	@DESTDIR="$(DESTDIR)" LIBDIR="$(LIBDIR)" scripts/install "$(PREFIX)"
