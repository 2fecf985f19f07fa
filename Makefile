# Everything that a person does with this repository. `make help` lists it.

SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help
export LOCKKEEPER_STREAMS_DIR ?= ./streams
# Where the tests' PostgreSQL lives; made anew by every run.
TEST_DATA := target/tmp/test-postgres

.PHONY: help
help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: postgres ## start the service on http://127.0.0.1:8080 with a private database and the sample streams
	@cargo build --quiet --bin lockkeeper
	@exec target/debug/lockkeeper serve --hints

.PHONY: build
build: ## build what ships: target/release/lockkeeper
	cargo build --release --locked

.PHONY: test
test: postgres ## run every test against a real PostgreSQL, which this starts itself
	@cargo build --quiet --locked --bin lockkeeper
	@rm -rf $(TEST_DATA)
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	target/debug/lockkeeper database exec --data-dir $(TEST_DATA) -- scripts/run-tests.sh

.PHONY: crash
crash: postgres ## kill -9 of the service, of imports and of PostgreSQL at random points, twenty times
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	CRASH_ROUNDS=20 cargo test --locked --test it -- --nocapture crash::

.PHONY: lint
lint: ## formatting, lints, dependencies, and whether the checked queries are up to date
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo deny --locked check bans licenses sources
	$(MAKE) --no-print-directory sqlx-check

.PHONY: sqlx
sqlx: postgres ## renew the checked queries' data under .sqlx/ after a change to SQL or migrations
	@scripts/check-queries.sh renew

.PHONY: sqlx-check
sqlx-check: postgres ## fail if the checked queries' data is not what the code and the migrations say
	@scripts/check-queries.sh compare

.PHONY: postgres
postgres:
	@scripts/install-postgres.sh
