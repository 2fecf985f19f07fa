#!/usr/bin/env bash
# Checks whether a security advisory exists for any dependency (https://rustsec.org). Fails if there is one, and also if the check
# cannot run.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo 'advisories: not checked, cargo-deny is not installed: cargo install --locked cargo-deny' >&2
    exit 1
fi
if ! cargo deny --locked fetch db; then
    echo 'advisories: not checked, the advisory database could not be fetched (see above)' >&2
    exit 1
fi
if ! cargo deny --locked check --disable-fetch advisories; then
    echo 'advisories: dependencies have advisories (see above): update them, or explain in deny.toml why an advisory does not apply' >&2
    exit 1
fi
echo 'advisories: no dependency has a known advisory'
