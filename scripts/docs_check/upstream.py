"""Writes a small folder in the layout of Fedora CoreOS's metadata."""

import hashlib
import json

STREAMS = {"stable": 3, "testing": 2, "next": 1}
DATES = ("20260608", "20260622", "20260707")
ARCHES = ("x86_64", "aarch64")
METADATA = {"last-modified": "2026-07-21T14:07:12Z"}


def write(folder):
    for stream, number in STREAMS.items():
        versions = [f"44.{date}.{number}.0" for date in DATES]
        documents = {
            f"prod/streams/{stream}/releases.json": {"releases": [release(version) for version in versions]},
            f"updates/{stream}.json": {"releases": [completed_rollout(version) for version in versions]},
            f"streams/{stream}.json": {"architectures": {arch: images(versions[-1], arch) for arch in ARCHES}},
        }
        for name, document in documents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps({"stream": stream, "metadata": METADATA} | document))


def digest(*words):
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def release(version):
    pull_spec = "quay.example.org/fedora/fedora-coreos"
    return {
        "version": version,
        "metadata": f"https://builds.example.org/{version}/release.json",
        "commits": [{"architecture": arch, "checksum": digest(version, arch)} for arch in ARCHES],
        "oci-images": [
            {
                "architecture": arch,
                "image": f"{pull_spec}:{version}",
                "digest-ref": f"{pull_spec}@sha256:{digest(version, arch, 'oci')}",
            }
            for arch in ARCHES
        ],
    }


def completed_rollout(version):
    """Returns a completed rollout."""
    return {"version": version, "metadata": {"rollout": {"start_percentage": 1.0}}}


def images(version, arch):
    location = f"https://builds.example.org/{version}/{arch}/fedora-coreos-{version}-metal.{arch}.raw.xz"
    disk = {
        "location": location,
        "signature": f"{location}.sig",
        "sha256": digest(location),
        "uncompressed-sha256": digest(location, "raw"),
    }
    region = {"release": version, "image": f"ami-{digest(version, arch)[:17]}"}
    return {
        "artifacts": {"metal": {"release": version, "formats": {"raw.xz": {"disk": disk}}}},
        "images": {"aws": {"regions": {"eu-central-1": region, "us-east-1": region}}},
    }
