#!/usr/bin/env bash
# Prints paths of cargo's output, which depend on CARGO_TARGET_DIR and `build.target-dir`.
# usage: cargo-path.sh target-dir               the target folder
#        cargo-path.sh program [CARGO OPTION]   builds the program, by default a debug build, and prints its path
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
[ $# -eq 0 ] || shift
case $what in
target-dir)
    found=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    ;;
program)
    # Build scripts have no executable in these messages.
    found=$(cargo build --quiet --locked --bin lockkeeper --message-format json-render-diagnostics "$@" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    ;;
*)
    echo 'usage: cargo-path.sh target-dir | program [CARGO OPTION...]' >&2
    exit 2
    ;;
esac
if [ -z "$found" ]; then
    echo "cargo did not print the path of the $what" >&2
    exit 1
fi
printf '%s\n' "$found"
