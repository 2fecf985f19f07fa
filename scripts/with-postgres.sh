#!/usr/bin/env bash
# Runs a command with DATABASE_URL naming a PostgreSQL that was made for it and goes with it.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo build --quiet --locked --bin lockkeeper; then
    # New queries do not build before they are checked, which needs a PostgreSQL: any earlier build can start one.
    [ -n "${ANY_BUILD:-}" ] && [ -x target/debug/lockkeeper ] || exit 1
    echo "goes on with what was built before" >&2
fi
mkdir -p target/tmp
data=$(mktemp -d target/tmp/postgres.XXXXXX)
# PostgreSQL may run as another user, who has to get there.
chmod 755 "$data"
trap 'rm -rf "$data"' EXIT
unset DATABASE_URL LOCKKEEPER_STREAMS_DIR LOCKKEEPER_DATA_DIR
target/debug/lockkeeper database exec --data-dir "$data" -- "$@"
