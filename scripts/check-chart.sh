#!/usr/bin/env bash
# Holds the Helm chart against its golden files, Kubernetes' own schemas and rules of ours. UPDATE_GOLDEN=1 writes the golden files
# and the README's table anew. Helm's library comes with pip, into a folder outside of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=helm/tests/requirements.txt
python=$(command -v python3) || {
    echo 'the chart is checked by python3, which is not here: install it and try again.' >&2
    exit 1
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi

# Another Python and other requirements want another folder.
version=$("$python" -c 'import sys; print(sys.prefix, sys.version)' | cat - "$requirements" | sha256sum | cut -c1-12)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/lockkeeper/chart-$version

make_venv() {
    rm -rf "$venv"
    "$python" -m venv "$venv" >/dev/null 2>&1
}

install_venv() {
    command -v apt-get >/dev/null || return
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
}

if [ ! -e "$venv/whole" ]; then
    mkdir -p "$(dirname "$venv")"
    if ! make_venv; then
        { install_venv >/dev/null 2>&1 && make_venv; } || {
            echo 'the chart is checked in a virtual environment, which could not be made: install python3-venv and try again.' >&2
            exit 1
        }
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$requirements"
    touch "$venv/whole"
fi

exec "$venv/bin/python" -B helm/tests/check.py
