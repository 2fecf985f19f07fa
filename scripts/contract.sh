#!/usr/bin/env bash
# Holds a running service against its own description: schemathesis asks every operation for everything that the description
# allows, and much that it does not. Fails on any 5xx and on any answer that the description does not allow.
# usage: with-postgres.sh contract.sh [schemathesis' own options]
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.32.5
venv=target/tmp/contract
if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -q "$version"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

data=$(mktemp -d target/tmp/contract.XXXXXX)
service=
stop() {
    [ -z "$service" ] || { kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; }
    rm -rf "$data"
}
trap stop EXIT
export LOCKKEEPER_DATA_DIR=$data LOCKKEEPER_LOG__FILTER=warn,lockkeeper::server=info
target/debug/lockkeeper serve --listen 127.0.0.1:0 --streams-dir ./streams 2>"$data/log" &
service=$!
address=
for _ in $(seq 300); do
    address=$(sed -n 's/.*listening address=\([0-9.:]*\).*/\1/p' "$data/log" | head -n 1)
    [ -n "$address" ] && curl -sf "http://$address/healthz/ready" >/dev/null && break
    kill -0 "$service" || { cat "$data/log" >&2; exit 1; }
    sleep 0.1
done
token=$(target/debug/lockkeeper token create --role admin --on '*' --for 2h --name contract)
# What there is to be found: streams of the samples' own, and one that anything may be done to.
curl -sf -X PUT -H "Authorization: Bearer $token" -H 'If-None-Match: *' -H 'Content-Type: application/json' \
    --data @tests/contract/document.json \
    "http://$address/api/v1/products/os/streams/stable/document?reason=contract&acknowledge=true" >/dev/null

"$venv/bin/schemathesis" --config-file tests/contract/schemathesis.toml run \
    --header "Authorization: Bearer $token" --url "http://$address" \
    "http://$address/api/v1/openapi.json" "$@" || { tail -n 40 "$data/log" >&2; exit 1; }
# Whatever was answered, nothing in the log may be a bug.
if grep -E 'ERROR|panicked|ran into a bug' "$data/log"; then exit 1; fi
