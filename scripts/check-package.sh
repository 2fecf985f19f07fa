#!/usr/bin/env bash
# Builds the Debian package of a debug build, and checks its files, its configuration files and its scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cargo-deb.sh
output=$(scripts/cargo-path.sh target-dir)/tmp/package
rm -rf "$output"
mkdir -p "$output"
scripts/cargo-path.sh program >/dev/null
cargo deb --quiet --locked --fast --no-build --no-strip --profile dev --output "$output/" >/dev/null
package=$(ls "$output"/*.deb)
dpkg-deb --raw-extract "$package" "$output/tree"

fail() {
    echo "package: $1" >&2
    exit 1
}
for path in usr/bin/lockkeeper usr/lib/systemd/system/lockkeeper.service usr/lib/sysusers.d/lockkeeper.conf \
    usr/lib/tmpfiles.d/lockkeeper.conf etc/lockkeeper/lockkeeper.toml etc/lockkeeper/environment \
    usr/share/doc/lockkeeper/docs/how-to/troubleshoot/answers-fail.md usr/share/doc/lockkeeper/prometheus/alerts.yaml; do
    [ -f "$output/tree/$path" ] || fail "$path is missing"
done
for path in lockkeeper.toml environment; do
    grep -qx "/etc/lockkeeper/$path" "$output/tree/DEBIAN/conffiles" || fail "an upgrade would overwrite /etc/lockkeeper/$path"
    [ "$(stat -c %a "$output/tree/etc/lockkeeper/$path")" = 640 ] || fail "/etc/lockkeeper/$path must have mode 640"
done
scripts=$output/tree/DEBIAN/postinst
account=$(grep -n systemd-sysusers "$scripts" | head -n 1 | cut -d: -f1)
folders=$(grep -n systemd-tmpfiles "$scripts" | head -n 1 | cut -d: -f1)
[ "${account:-0}" -gt 0 ] && [ "${folders:-0}" -gt "$account" ] || fail "the account is not created before its folders"
if grep -qE 'deb-systemd-invoke (start|restart)|systemctl (enable|start)' "$scripts"; then fail "it starts the service on installation"; fi
number=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ "$("$output/tree/usr/bin/lockkeeper" --version)" = "lockkeeper $number" ] || fail "its program has another version"
[ "$(dpkg-deb --field "$package" Version)" = "$number-1" ] || fail "it has another version"
echo "package: $(find "$output/tree" -type f ! -path '*/DEBIAN/*' | wc -l) files, configuration files kept by upgrades, account created before its folders, service not started"
