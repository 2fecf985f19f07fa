#!/usr/bin/env bash
# Checks every query against a database with this tree's migrations, and updates or compares the data under .sqlx/.
# usage: with-postgres.sh check-queries.sh renew|compare
set -euo pipefail
mode=$1
cd "$(dirname "$0")/.."

fresh=$(scripts/cargo-path.sh target-dir)/tmp/sqlx
rm -rf "$fresh"
mkdir -p "$fresh"
for migration in migrations/*.sql; do
    psql --quiet --no-psqlrc --single-transaction --set ON_ERROR_STOP=1 --file "$migration" "$DATABASE_URL"
done
# Forces the macros to run again.
touch src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo check --quiet --locked --lib

if [ "$mode" = renew ]; then
    rm -rf .sqlx
    cp -r "$fresh" .sqlx
elif ! diff -r "$fresh" .sqlx >/dev/null; then
    echo "the checked queries' data is out of date: run make sqlx and commit .sqlx/" >&2
    exit 1
fi
