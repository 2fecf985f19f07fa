#!/usr/bin/env bash
# Installs missing tools of the load test if this account may, and prints what is missing otherwise.
set -euo pipefail

# nginx is often in a folder that only root has in its PATH.
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing() {
    command -v wrk >/dev/null || echo wrk
    command -v nginx >/dev/null || echo nginx-light
    command -v zstd >/dev/null || echo zstd
    command -v "${DOCKER_REGISTRY:-docker-registry}" >/dev/null || echo docker-registry
    command -v openssl >/dev/null || echo openssl
    command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
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
    # The package starts a web server on port 80, which is not wanted here.
    [[ "${packages[*]}" != *nginx* ]] || "${as_root[@]}" invoke-rc.d nginx stop
}

install >/dev/null 2>&1 || true
mapfile -t packages < <(missing)
if [ ${#packages[@]} -gt 0 ]; then
    echo "cannot install ${packages[*]}, which the load test requires: install it and try again." >&2
    exit 1
fi
