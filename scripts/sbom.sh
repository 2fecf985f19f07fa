#!/usr/bin/env bash
# Prints the program's SBOM as CycloneDX 1.5 in JSON: every crate, with its licence and checksum, from Cargo.lock and `cargo metadata`.
# Equal lock files produce equal bytes. Crates that are only needed for the build have the scope "excluded".
# usage: sbom.sh [target, such as x86_64-unknown-linux-musl; default: this machine's]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo metadata --format-version 1 --locked --filter-platform "$target" >"$work/metadata"
# The crates that are built. The metadata also lists crates of features that are off.
cargo tree --locked --target "$target" --edges normal,build --prefix none --no-dedupe --format '{p}' >"$work/tree"

python3 - "$work" "$target" <<'PYTHON'
import json, sys, tomllib, uuid

with open(f"{sys.argv[1]}/metadata") as file:
    metadata = json.load(file)
with open(f"{sys.argv[1]}/tree") as file:
    built = {tuple(line.split()[:2]) for line in file if line.strip()}
with open("Cargo.lock", "rb") as file:
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(file)["package"]}
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]
# Crates whose files a build script embeds in the program.
EMBEDDED = {"utoipa-swagger-ui-vendored"}


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version'].replace('+', '%2B')}"


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def is_built(package):
    return (package["name"], f"v{package['version']}") in built


def needed(package, kinds):
    """Returns the dependencies of a crate of these kinds; None is the normal kind."""
    wanted = (dep["pkg"] for dep in nodes[package]["deps"] if kinds & {kind["kind"] for kind in dep["dep_kinds"]})
    return sorted({other for other in wanted if is_built(packages[other])})


def reached(kinds, enter):
    found, ahead = set(), [root]
    while ahead:
        package = ahead.pop()
        if package not in found and enter(packages[package]):
            found.add(package)
            ahead.extend(needed(package, kinds))
    return found


everything = reached({None, "build"}, lambda package: True)
inside = reached({None}, lambda package: not is_macro(package))
inside |= {package for package in everything if packages[package]["name"] in EMBEDDED}


def component(identity):
    package = packages[identity]
    answer = {
        "type": "application" if identity == root else "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required" if identity in inside else "excluded",
        "purl": purl(package),
    }
    if checksum := checksums[package["name"], package["version"]]:
        answer["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["license"]:
        # Cargo once accepted a slash for OR.
        answer["licenses"] = [{"expression": package["license"].replace("/", " OR ").replace("  ", " ")}]
    if package["repository"]:
        answer["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return answer


components = sorted((component(package) for package in everything), key=lambda each: each["bom-ref"])
main = next(each for each in components if each["bom-ref"] == purl(packages[root]))
bom = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {
        "component": {name: value for name, value in main.items() if name != "scope"},
        "properties": [{"name": "cargo:target", "value": sys.argv[2]}],
    },
    "components": [each for each in components if each is not main],
    "dependencies": sorted(
        (
            {
                "ref": purl(packages[package]),
                "dependsOn": sorted({purl(packages[other]) for other in needed(package, {None, "build"})}),
            }
            for package in everything
        ),
        key=lambda each: each["ref"],
    ),
}
# A serial number derived from the content.
bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bom, sort_keys=True))}"
json.dump(bom, sys.stdout, indent=1)
print()
PYTHON
