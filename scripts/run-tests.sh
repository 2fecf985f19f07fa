#!/usr/bin/env bash
# Runs all tests on the PostgreSQL at DATABASE_URL, with nextest if it is installed. Tests that need real metadata are ignored in the
# code, and run here if the metadata is present. Tests that need docker-registry skip themselves without it.
set -euo pipefail
export TEST_DATABASE_URL="$DATABASE_URL"
unset DATABASE_URL
fixtures=${LOCKKEEPER_FIXTURES:-../shared/fixtures}
with_real_metadata=true
if [ ! -d "$fixtures/fcos" ]; then
    with_real_metadata=false
    count=$(grep -rhx '#\[ignore = "needs real metadata in ../shared/fixtures"\]' tests/it | wc -l)
    echo "skipped: $count tests that need real metadata, since there is no $fixtures/fcos" >&2
fi
registry=${DOCKER_REGISTRY:-docker-registry}
if ! command -v "$registry" >/dev/null; then
    count=$(grep -rhE 'Registry::start(_protected)?\(\) else' tests/it | wc -l)
    echo "skipped: $count tests that need a container registry, since $registry is not installed" >&2
fi
if cargo nextest --version >/dev/null 2>&1; then
    if $with_real_metadata; then
        set -- --run-ignored all "$@"
    fi
    exec cargo nextest run --locked "$@"
fi
if $with_real_metadata; then
    # The benches have another harness, which does not know the option.
    cargo test --locked --bench '*'
    exec cargo test --locked --lib --bins --tests "$@" -- --include-ignored
fi
exec cargo test --locked --all-targets "$@"
