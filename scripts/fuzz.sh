#!/usr/bin/env bash
# Runs all or the named fuzz targets in turn: scripts/fuzz.sh SECONDS [TARGET...]. Failures are saved in fuzz/artifacts, new inputs in
# fuzz/found; fuzz/README.md describes how to add them to the corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
# Sanitizers and coverage need unstable flags, which this enables in the pinned stable compiler.
export RUSTC_BOOTSTRAP=1

if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install --quiet --locked cargo-fuzz
fi
targets=("$@")
if [[ ${#targets[@]} == 0 ]]; then
    mapfile -t targets < <(cargo fuzz list)
fi
cargo fuzz build
for target in "${targets[@]}"; do
    mkdir -p "fuzz/found/$target"
    echo "== $target, $seconds s"
    # The limits are part of the check: no input may take 10 seconds or 2 GiB.
    cargo fuzz run "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- "-max_total_time=$seconds" -max_len=4096 \
        -timeout=10 -rss_limit_mb=2048 "-dict=fuzz/dictionaries/$target.dict" -print_final_stats=1
done
