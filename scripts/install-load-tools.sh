#!/usr/bin/env bash
# Sees to it that the load test's tools are here: installs those that are missing where this account may, or says which are.
set -euo pipefail

# Where nginx is, often only root looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing() {
    command -v wrk >/dev/null || echo wrk
    command -v nginx >/dev/null || echo nginx-light
}

mapfile -t packages < <(missing)
[ ${#packages[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi

install() {
    command -v apt-get >/dev/null || return
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    # The package starts a web server on port 80, which nobody wants from this.
    [[ "${packages[*]}" != *nginx* ]] || "${as_root[@]}" invoke-rc.d nginx stop
}

install >/dev/null 2>&1 || true
mapfile -t packages < <(missing)
if [ ${#packages[@]} -gt 0 ]; then
    echo "the load test needs ${packages[*]}, which could not be installed from this account: install it and try again." >&2
    exit 1
fi
