# Tasks for developers of this repository. `make help` lists them.

SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help
export LOCKKEEPER_STREAMS_DIR ?= ./streams
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: postgres ## start the service on http://127.0.0.1:8080 with a private database and the sample streams
	@program=$$(scripts/cargo-path.sh program) && exec "$$program" serve --hints

.PHONY: build
build: ## build the release program: target/release/lockkeeper, unless cargo is configured otherwise
	cargo build --release --locked

.PHONY: test
test: postgres registry ## run all tests against a real PostgreSQL, which is started for them
	@scripts/with-postgres.sh scripts/run-tests.sh

.PHONY: crash
crash: postgres ## kill -9 the service, imports and PostgreSQL at random points, twenty times
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	CRASH_ROUNDS=20 cargo test --locked --test it -- --nocapture crash::

.PHONY: races
races: postgres ## make a thousand concurrent changes from four processes to three streams
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	RACES_CHANGES=1000 cargo test --locked --test it -- --nocapture races::

.PHONY: explain
explain: postgres ## check `explain` against real poll responses for 10,000 nodes
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	EXPLAIN_NODES=10000 cargo test --locked --test it -- --nocapture explain::

.PHONY: contract
contract: postgres ## test a running service against its OpenAPI description, with schemathesis
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; scripts/with-postgres.sh scripts/contract.sh

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZ_SECONDS (600); fuzz/README.md describes them
	@scripts/fuzz.sh "$${FUZZ_SECONDS:-600}"

.PHONY: openapi
openapi: postgres ## regenerate the description of the API: openapi/lockkeeper.v1.json
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	UPDATE_OPENAPI=1 cargo test --locked --test it -- operations::the_committed

.PHONY: load
load: postgres ## measure a release build next to nginx, including outages and memory, and write load/REPORT.md
	@scripts/install-load-tools.sh
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	program=$$(scripts/cargo-path.sh program --release) && python3 load/run.py --binary "$$program"

.PHONY: attack
attack: postgres ## attack a release build over loopback: hostile clients, tokens, documents and files
	@scripts/install-load-tools.sh
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	program=$$(scripts/cargo-path.sh program --release) && python3 -B attack/run.py --binary "$$program"

.PHONY: attack-short
attack-short: postgres ## run a short version of the attacks on a debug build
	@scripts/install-load-tools.sh
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	program=$$(scripts/cargo-path.sh program) && python3 -B attack/run.py --short --binary "$$program"

.PHONY: upgrade-drill
upgrade-drill: postgres ## upgrade three replicas to a newer schema and back, twice, under polls and writes
	@scripts/install-load-tools.sh
	@folder=$$(scripts/cargo-path.sh target-dir)/upgrade-drill; \
	scripts/next-version.sh "$$folder" && unset LOCKKEEPER_STREAMS_DIR DATABASE_URL && \
	scripts/with-postgres.sh python3 drill/upgrade.py --this "$$folder/this" --next "$$folder/next"

.PHONY: docs-check
docs-check: postgres registry ## execute every command in the docs, and check the names that they mention
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	program=$$(scripts/cargo-path.sh program) && python3 -B scripts/docs-check.py --binary "$$program"

.PHONY: chart-check
chart-check: ## render the Helm chart with five sets of values, and compare with golden files and schemas
	@scripts/check-chart.sh

.PHONY: deploy-check
deploy-check: ## check the image, the compose file, the units, the Debian package, the alerts and the dashboard
	@scripts/check-dashboards.sh
	@scripts/check-units.sh
	@scripts/check-package.sh
	@program=$$(scripts/cargo-path.sh program) && scripts/check-image.sh "$$program" --with-libraries

.PHONY: image
image: ## build the container image with Docker or a compatible program
	docker build -f docker/Dockerfile -t lockkeeper:local --build-arg VERSION="$(VERSION)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg CREATED="$$(git log -1 --format=%cI)" .

.PHONY: deb
deb: ## build the Debian package in cargo's target folder, below debian
	. scripts/cargo-deb.sh && cargo deb --locked

.PHONY: dist
dist: build ## build the release artifacts in cargo's target folder, below dist: archive, Debian package, chart, SBOM, checksums
	@scripts/dist.sh

.PHONY: lint
lint: ## formatting, lints, dependencies, words, and whether the checked queries are up to date
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo deny --locked check bans licenses sources
	cd scripts && python3 -B -m unittest -q check_words_test
	python3 -B scripts/check_words.py
	$(MAKE) --no-print-directory sqlx-check

.PHONY: advisories
advisories: ## check dependencies for known vulnerabilities; fails if the advisory database cannot be fetched
	@scripts/advisories.sh

.PHONY: sqlx
sqlx: postgres ## update the data of checked queries under .sqlx/ after a change to SQL or migrations
	@ANY_BUILD=1 scripts/with-postgres.sh scripts/check-queries.sh renew

.PHONY: sqlx-check
sqlx-check: postgres ## fail if the data of checked queries does not match the code and the migrations
	@scripts/with-postgres.sh scripts/check-queries.sh compare

.PHONY: postgres
postgres:
	@scripts/install-postgres.sh

.PHONY: registry
registry:
	@scripts/install-docker-registry.sh
