#!/usr/bin/env bash
# Runs a command with DATABASE_URL set to a temporary PostgreSQL.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(scripts/cargo-path.sh target-dir)
if ! program=$(scripts/cargo-path.sh program); then
    # New queries do not compile before they are checked, which needs a PostgreSQL. Any earlier build can start one.
    program=$target/debug/lockkeeper
    [ -n "${ANY_BUILD:-}" ] && [ -x "$program" ] || exit 1
    echo "using the program of an earlier build" >&2
fi
mkdir -p "$target/tmp"
data=$(mktemp -d "$target/tmp/postgres.XXXXXX")
# PostgreSQL may run as another user, which needs access.
chmod 755 "$data"
trap 'rm -rf "$data"' EXIT
unset DATABASE_URL LOCKKEEPER_STREAMS_DIR LOCKKEEPER_DATA_DIR
"$program" database exec --data-dir "$data" -- "$@"
