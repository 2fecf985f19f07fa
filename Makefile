# Everything that a person does with this repository. `make help` lists it.

SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help
export LOCKKEEPER_STREAMS_DIR ?= ./streams
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

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
	@scripts/with-postgres.sh scripts/run-tests.sh

.PHONY: crash
crash: postgres ## kill -9 of the service, of imports and of PostgreSQL at random points, twenty times
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	CRASH_ROUNDS=20 cargo test --locked --test it -- --nocapture crash::

.PHONY: races
races: postgres ## a thousand changes from four processes over three streams at once
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	RACES_CHANGES=1000 cargo test --locked --test it -- --nocapture races::

.PHONY: explain
explain: postgres ## hold what is told of ten thousand nodes' ways against what their polls get, to the second
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	EXPLAIN_NODES=10000 cargo test --locked --test it -- --nocapture explain::

.PHONY: contract
contract: postgres ## hold a running service against its own description, with schemathesis
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; scripts/with-postgres.sh scripts/contract.sh

.PHONY: openapi
openapi: postgres ## write the description of the API anew: openapi/lockkeeper.v1.json
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; \
	UPDATE_OPENAPI=1 cargo test --locked --test it -- operations::the_committed

.PHONY: load
load: postgres ## measure a release build beside nginx, through outages and in memory, into load/REPORT.md
	cargo build --release --locked
	@scripts/install-load-tools.sh
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; python3 load/run.py --binary target/release/lockkeeper

.PHONY: upgrade-drill
upgrade-drill: postgres ## roll three replicas to a version with a newer schema and back, twice, under polls and writes
	@scripts/install-load-tools.sh
	@scripts/next-version.sh target/upgrade-drill
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; scripts/with-postgres.sh \
		python3 drill/upgrade.py --this target/upgrade-drill/this --next target/upgrade-drill/next

.PHONY: docs-check
docs-check: postgres ## execute every command in the documents, and look up whatever else they speak of
	@cargo build --quiet --locked --bin lockkeeper
	@unset LOCKKEEPER_STREAMS_DIR DATABASE_URL; python3 -B scripts/docs-check.py --binary target/debug/lockkeeper

.PHONY: chart-check
chart-check: ## render the Helm chart for five value sets, and hold it against golden files and schemas
	@scripts/check-chart.sh

.PHONY: deploy-check
deploy-check: ## check the image, the compose file, the units, the Debian package, the alerts and the dashboard
	@scripts/check-dashboards.sh
	@scripts/check-units.sh
	@cargo build --quiet --locked --bin lockkeeper
	@scripts/check-package.sh
	@scripts/check-image.sh target/debug/lockkeeper --with-libraries

.PHONY: image
image: ## build the container image (with Docker, or what calls itself so)
	docker build -f docker/Dockerfile -t lockkeeper:local --build-arg VERSION="$(VERSION)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg CREATED="$$(git log -1 --format=%cI)" .

.PHONY: deb
deb: ## build the Debian package into target/debian
	. scripts/cargo-deb.sh && cargo deb --locked

.PHONY: dist
dist: build ## what is released, into target/dist: archive, Debian package, chart, what is inside, and checksums
	@scripts/dist.sh

.PHONY: lint
lint: ## formatting, lints, dependencies, and whether the checked queries are up to date
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo deny --locked check bans licenses sources
	$(MAKE) --no-print-directory sqlx-check

.PHONY: sqlx
sqlx: postgres ## renew the checked queries' data under .sqlx/ after a change to SQL or migrations
	@ANY_BUILD=1 scripts/with-postgres.sh scripts/check-queries.sh renew

.PHONY: sqlx-check
sqlx-check: postgres ## fail if the checked queries' data is not what the code and the migrations say
	@scripts/with-postgres.sh scripts/check-queries.sh compare

.PHONY: postgres
postgres:
	@scripts/install-postgres.sh
