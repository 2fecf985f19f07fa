#!/usr/bin/env bash
# Builds this tree as the version that may follow it: its number is greater, and its schema has one thing more. For drills.
# usage: next-version.sh FOLDER; the two programs are then FOLDER/this and FOLDER/next
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
tree=$folder/tree
mkdir -p "$folder"
cargo build --quiet --locked --bin lockkeeper
install target/debug/lockkeeper "$folder/this"

rm -rf "$tree"
mkdir "$tree"
git ls-files --cached --others --exclude-standard -z -- Cargo.toml Cargo.lock rust-toolchain.toml .sqlx src benches tests migrations openapi streams |
    xargs -0 cp --parents -t "$tree"
cat >"$tree/migrations/99990101000000_drill.sql" <<'SQL'
-- What the next version may add, and this one need not know.
alter table streams add column drilled boolean not null default false;
alter table releases add column drill_note text;
create table drills (stream_id bigint primary key references streams (id), at timestamptz not null default now());
insert into drills (stream_id) select id from streams;
SQL
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$tree/Cargo.toml" | head -n 1)
sed -i "0,/^version = \"$version\"/s//version = \"$version-next\"/" "$tree/Cargo.toml"
# The lock file names this package's version too. Dependencies are built already, and are taken from there.
(cd "$tree" && CARGO_TARGET_DIR="$OLDPWD/target" SQLX_OFFLINE=true cargo build --quiet --offline --bin lockkeeper)
install target/debug/lockkeeper "$folder/next"
rm -rf "$tree"
# The next build of this tree puts its own program back.
cargo build --quiet --locked --bin lockkeeper
"$folder/this" --version
"$folder/next" --version
