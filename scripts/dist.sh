#!/usr/bin/env bash
# Puts together what is released, from target/release/lockkeeper: target/dist. Made twice of one commit, it is the same to the byte,
# but for the Debian package. A version whose section the changelog does not have yet is marked by its commit.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=target/dist
binary=target/release/lockkeeper
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
    echo "dist: the tree has changes that are not committed" >&2
    version=$version.dirty
fi
written=$(git log -1 --format=%ct)
pack() { # a folder, below another one, as an archive whose bytes follow from its files
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
# What is no release sorts before the one that it may become.
cargo deb --quiet --locked --no-build --no-strip --deb-version "${version/+/~}-1" --output "$dist/"
(cd "$dist" && sha256sum -- * >SHA256SUMS && sha256sum --check --quiet SHA256SUMS)
ls -l "$dist"
