#!/usr/bin/env bash
# Tests a running service against its OpenAPI description: schemathesis sends every operation requests that the description allows,
# and many that it does not. Fails on any 5xx and on any response that the description does not allow.
# usage: with-postgres.sh contract.sh [schemathesis' own options]
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.32.5
tmp=$(scripts/cargo-path.sh target-dir)/tmp
mkdir -p "$tmp"
venv=$tmp/contract
program=$(scripts/cargo-path.sh program)
if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -q "$version"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

data=$(mktemp -d "$tmp/contract.XXXXXX")
service=
stop() {
    [ -z "$service" ] || { kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; }
    rm -rf "$data"
}
trap stop EXIT
export LOCKKEEPER_DATA_DIR=$data LOCKKEEPER_LOG__FILTER=warn,lockkeeper::server=info
"$program" serve --listen 127.0.0.1:0 --streams-dir ./streams 2>"$data/log" &
service=$!
address=
for _ in $(seq 300); do
    address=$(sed -n 's/.*listening address=\([0-9.:]*\).*/\1/p' "$data/log" | head -n 1)
    [ -n "$address" ] && curl -sf "http://$address/healthz/ready" >/dev/null && break
    kill -0 "$service" || { cat "$data/log" >&2; exit 1; }
    sleep 0.1
done
token=$("$program" token create --role admin --streams '*' --expires-in 2h --name contract)
# The data: the sample streams, and a stream that every operation can change.
curl -sf -X PUT -H "Authorization: Bearer $token" -H 'If-None-Match: *' -H 'Content-Type: application/json' \
    --data @tests/contract/document.json \
    "http://$address/api/v1/products/os/streams/stable/document?reason=contract&acknowledge=true" >/dev/null

"$venv/bin/schemathesis" --config-file tests/contract/schemathesis.toml run \
    --header "Authorization: Bearer $token" --url "http://$address" \
    "http://$address/api/v1/openapi.json" "$@" || { tail -n 40 "$data/log" >&2; exit 1; }
# The log must not contain errors.
if grep -E 'ERROR|panicked' "$data/log"; then exit 1; fi
