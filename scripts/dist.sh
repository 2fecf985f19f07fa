#!/usr/bin/env bash
# Builds the release artifacts from the release build in cargo's target folder, below dist. Two runs on one commit produce the same
# bytes, except for the Debian package. A version without a section in the changelog is marked with its commit.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=$(scripts/cargo-path.sh target-dir)/dist
binary=$(scripts/cargo-path.sh program --release)
number=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
if [ "$("$binary" --version)" != "lockkeeper $number" ]; then
    echo "dist: $binary is not version $number; build it first" >&2
    exit 1
fi
version=$number
if ! grep -q "^## $number\b" CHANGELOG.md; then
    version=$number+g$(git rev-parse --short=12 HEAD)
fi
if [ -n "$(git status --porcelain)" ]; then
    echo "dist: the tree has uncommitted changes" >&2
    version=$version.dirty
fi
written=$(git log -1 --format=%ct)
pack() { # OUTPUT PARENT FOLDER: a reproducible archive of PARENT/FOLDER
    tar --sort=name --mtime="@$written" --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w -C "$2" -cf - "$3" |
        gzip -n -9 >"$1"
}

rm -rf "$dist"
mkdir -p "$dist/tree"
name=lockkeeper-$version-linux-$(uname -m)
tree=$dist/tree/$name
mkdir -p "$tree/bin"
install -m 755 "$binary" "$tree/bin/"
cp README.md CHANGELOG.md SECURITY.md LICENSE-* lockkeeper.example.toml "$tree/"
cp -r docs systemd streams "$tree/"
mkdir "$tree/docker"
cp -r docker/{prometheus,grafana,compose.yaml,Caddyfile,env.example} "$tree/docker/"
scripts/sbom.sh >"$dist/lockkeeper-$version.cdx.json"
cp "$dist/lockkeeper-$version.cdx.json" "$tree/"
pack "$dist/$name.tar.gz" "$dist/tree" "$name"
cp -r helm/lockkeeper "$dist/tree/lockkeeper"
sed -i "s/^version: .*/version: $version/" "$dist/tree/lockkeeper/Chart.yaml"
pack "$dist/lockkeeper-chart-$version.tgz" "$dist/tree" lockkeeper
rm -rf "$dist/tree"
. scripts/cargo-deb.sh
# A development version sorts before the release.
cargo deb --quiet --locked --no-build --no-strip --deb-version "${version/+/~}-1" --output "$dist/"
(cd "$dist" && sha256sum -- * >SHA256SUMS && sha256sum --check --quiet SHA256SUMS)
ls -l "$dist"
