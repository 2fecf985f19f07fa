#!/usr/bin/env bash
# Checks every query against a database with this tree's migrations, and renews or compares the data under .sqlx/.
# usage: check-queries.sh renew|compare
set -euo pipefail
mode=$1
cd "$(dirname "$0")/.."

if [ -z "${INSIDE_DATABASE:-}" ]; then
    cargo build --quiet --locked --bin lockkeeper
    export INSIDE_DATABASE=1
    unset DATABASE_URL LOCKKEEPER_STREAMS_DIR
    data=target/tmp/queries-postgres
    rm -rf "$data"
    # `check` brings the schema up to date.
    exec target/debug/lockkeeper database exec --data-dir "$data" -- bash -c '
        target/debug/lockkeeper database check && scripts/check-queries.sh '"$mode"
fi

fresh=$PWD/target/tmp/sqlx
rm -rf "$fresh"
mkdir -p "$fresh"
# The macros have to run, whatever was built before.
touch src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo check --quiet --locked --lib

if [ "$mode" = renew ]; then
    rm -rf .sqlx
    cp -r "$fresh" .sqlx
elif ! diff -r "$fresh" .sqlx >/dev/null; then
    echo "the checked queries' data is out of date: run make sqlx and commit .sqlx/" >&2
    exit 1
fi
