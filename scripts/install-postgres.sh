#!/usr/bin/env bash
# Installs PostgreSQL's programs if they are missing and this account may, and prints what to install otherwise.
set -euo pipefail

found() {
    command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/initdb" ] && return
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    compgen -G '/usr/pgsql-*/bin/initdb' >/dev/null && return
    compgen -G '/opt/homebrew/opt/postgresql*/bin/initdb' >/dev/null && return
    command -v initdb >/dev/null
}

found && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi

if command -v brew >/dev/null; then
    install() { brew install --quiet postgresql; }
    package='brew install postgresql'
elif command -v apt-get >/dev/null; then
    install() {
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
    }
    package='apt-get install postgresql'
elif command -v dnf >/dev/null; then
    install() { "${as_root[@]}" dnf install -y -q postgresql-server; }
    package='dnf install postgresql-server'
elif command -v pacman >/dev/null; then
    install() { "${as_root[@]}" pacman -S --noconfirm --needed postgresql; }
    package='pacman -S postgresql'
else
    install() { false; }
    package='your package of PostgreSQL 14 or later'
fi

if ! install >/dev/null 2>&1 || ! found; then
    echo "cannot install PostgreSQL 14 or later, which is required: install it ($package) and try again." >&2
    exit 1
fi
