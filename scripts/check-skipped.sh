#!/usr/bin/env bash
# Fails if tests were skipped although the real metadata that they need is present, or for want of a container registry. Takes the output of a
# run of all tests; prints nothing on success.
set -euo pipefail
output=$1
fixtures=${2:-$(dirname "$0")/../../shared/fixtures}
if grep -E '^skipped: [0-9]+ tests that need a container registry' "$output" >&2; then
    echo "check-skipped: install docker-registry" >&2
    exit 1
fi
[ -d "$fixtures/fcos" ] || exit 0
# nextest: "Summary [ 1.0s] 9 tests run: 9 passed, 2 skipped"; libtest: "test result: ok. 9 passed; 0 failed; 2 ignored; ...".
summaries=$(sed 's/\x1b\[[0-9;]*m//g' "$output" | grep -E '^ *Summary \[.*\] .* run: |^test result: ') || {
    echo "check-skipped: $output has no summary of a test run" >&2
    exit 1
}
skipped=$(grep -oE '[0-9]+ (skipped|ignored)' <<<"$summaries" | awk '{ sum += $1 } END { print sum + 0 }')
if [ "$skipped" -gt 0 ]; then
    echo "check-skipped: $skipped tests were skipped, although the real metadata that they need is at $fixtures/fcos" >&2
    exit 1
fi
