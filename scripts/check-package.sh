#!/usr/bin/env bash
# Makes the Debian package of a development build, and looks into it: what is in it, what upgrades leave alone, what its scripts do.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cargo-deb.sh
made=target/tmp/package
rm -rf "$made"
mkdir -p "$made"
cargo build --quiet --locked --bin lockkeeper
cargo deb --quiet --locked --fast --no-build --no-strip --profile dev --output "$made/" >/dev/null
package=$(ls "$made"/*.deb)
dpkg-deb --raw-extract "$package" "$made/tree"

fail() {
    echo "package: $1" >&2
    exit 1
}
for path in usr/bin/lockkeeper usr/lib/systemd/system/lockkeeper.service usr/lib/sysusers.d/lockkeeper.conf \
    usr/lib/tmpfiles.d/lockkeeper.conf etc/lockkeeper/lockkeeper.toml etc/lockkeeper/environment \
    usr/share/doc/lockkeeper/docs/OPERATING.md usr/share/doc/lockkeeper/prometheus/alerts.yaml; do
    [ -f "$made/tree/$path" ] || fail "has no $path"
done
for path in lockkeeper.toml environment; do
    grep -qx "/etc/lockkeeper/$path" "$made/tree/DEBIAN/conffiles" || fail "an upgrade would write over /etc/lockkeeper/$path"
    [ "$(stat -c %a "$made/tree/etc/lockkeeper/$path")" = 640 ] || fail "/etc/lockkeeper/$path may be read by anybody"
done
scripts=$made/tree/DEBIAN/postinst
account=$(grep -n systemd-sysusers "$scripts" | head -n 1 | cut -d: -f1)
folders=$(grep -n systemd-tmpfiles "$scripts" | head -n 1 | cut -d: -f1)
[ "${account:-0}" -gt 0 ] && [ "${folders:-0}" -gt "$account" ] || fail "the account is not made before what belongs to it"
if grep -qE 'deb-systemd-invoke (start|restart)|systemctl (enable|start)' "$scripts"; then fail "it starts by itself"; fi
number=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ "$("$made/tree/usr/bin/lockkeeper" --version)" = "lockkeeper $number" ] || fail "its program is another one"
[ "$(dpkg-deb --field "$package" Version)" = "$number-1" ] || fail "it has another version"
echo "package: $(find "$made/tree" -type f ! -path '*/DEBIAN/*' | wc -l) files, settings that upgrades leave alone, an account before its folders, nothing started"
