#!/usr/bin/env bash
# Builds this tree as a next version, with a greater version number and one more migration. For drills.
# usage: next-version.sh FOLDER; the two programs are then FOLDER/this and FOLDER/next
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
tree=$folder/tree
mkdir -p "$folder"
target=$(scripts/cargo-path.sh target-dir)
program=$(scripts/cargo-path.sh program)
install "$program" "$folder/this"

rm -rf "$tree"
mkdir "$tree"
git ls-files --cached --others --exclude-standard -z -- Cargo.toml Cargo.lock rust-toolchain.toml .sqlx src benches tests migrations openapi streams |
    xargs -0 cp --parents -t "$tree"
cat >"$tree/migrations/99990101000000_drill.sql" <<'SQL'
-- Additions of the next version, which this version does not know.
alter table streams add column drilled boolean not null default false;
alter table releases add column drill_note text;
create table drills (stream_id bigint primary key references streams (id), at timestamptz not null default now());
insert into drills (stream_id) select id from streams;
SQL
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$tree/Cargo.toml" | head -n 1)
sed -i "0,/^version = \"$version\"/s//version = \"$version-next\"/" "$tree/Cargo.toml"
# Offline: cargo updates this package's version in the lock file, and dependencies are already built.
(cd "$tree" && CARGO_TARGET_DIR="$target" SQLX_OFFLINE=true cargo build --quiet --offline --bin lockkeeper)
install "$program" "$folder/next"
rm -rf "$tree"
# Restores the program of this tree.
scripts/cargo-path.sh program >/dev/null
"$folder/this" --version
"$folder/next" --version
