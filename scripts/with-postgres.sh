#!/usr/bin/env bash
# Runs a command with DATABASE_URL naming a PostgreSQL that was made for it and goes with it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --locked --bin lockkeeper
mkdir -p target/tmp
data=$(mktemp -d target/tmp/postgres.XXXXXX)
# PostgreSQL may run as another user, who has to get there.
chmod 755 "$data"
trap 'rm -rf "$data"' EXIT
unset DATABASE_URL LOCKKEEPER_STREAMS_DIR LOCKKEEPER_DATA_DIR
target/debug/lockkeeper database exec --data-dir "$data" -- "$@"
