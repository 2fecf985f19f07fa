#!/usr/bin/env bash
# Checks the Helm chart against its golden files, Kubernetes' schemas and additional rules. UPDATE_GOLDEN=1 rewrites the golden files
# and the README's table. Helm's library is installed with pip, into a folder outside the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=helm/tests/requirements.txt
python=$(command -v python3) || {
    echo 'python3 is required to check the chart: install it and try again.' >&2
    exit 1
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi

# Each Python and set of requirements has its own folder.
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

if [ ! -e "$venv/complete" ]; then
    mkdir -p "$(dirname "$venv")"
    if ! make_venv; then
        { install_venv >/dev/null 2>&1 && make_venv; } || {
            echo 'cannot create a virtual environment to check the chart: install python3-venv and try again.' >&2
            exit 1
        }
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$requirements"
    touch "$venv/complete"
fi

exec "$venv/bin/python" -B helm/tests/check.py
