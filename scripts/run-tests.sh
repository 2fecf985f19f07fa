#!/usr/bin/env bash
# Runs every test on the PostgreSQL that DATABASE_URL names; with nextest where that is installed.
set -euo pipefail
export TEST_DATABASE_URL="$DATABASE_URL"
unset DATABASE_URL
if [ ! -d "${LOCKKEEPER_FIXTURES:-../shared/fixtures}" ]; then
    echo "skipped: what the golden tests ask, since the fixtures of real metadata are not beside this project" >&2
fi
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --locked "$@"
fi
exec cargo test --locked --all-targets "$@"
