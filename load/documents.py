"""Synthetic stream documents, and their text format (docs/reference/stream-document.md)."""

import datetime
import hashlib
import json

# The product that /v1/graph serves by default.
PRODUCT = "fedora-coreos"
ARCHES = ("x86_64", "aarch64", "ppc64le", "s390x")
SCHEMES = ("checksum", "oci")
GROUPS = ("default", "canary", "edge", "batch")
PLATFORMS = ("metal", "aws", "gcp", "qemu")


def made_up(stream, count, arches=ARCHES, schemes=SCHEMES, barrier_every=None):
    """Returns a stream of `count` releases without rollouts, with a barrier every `barrier_every` releases."""
    releases = [release(stream, number, arches, schemes) for number in range(count)]
    for number in range(barrier_every or count, count, barrier_every or count):
        releases[number]["barrier"] = {"reason": f"no node may skip release {number}"}
    return {"format": 1, "product": PRODUCT, "stream": stream, "arches": list(arches), "releases": releases}


def release(stream, number, arches, schemes):
    version = f"40.{number:08}.3.0"
    payloads = [
        {"arch": arch, "scheme": scheme, "id": payload(stream, version, arch, scheme)}
        for arch in arches
        for scheme in schemes
    ]
    return {"version": version, "payloads": payloads}


def payload(stream, version, arch, scheme):
    digest = hashlib.sha256(f"{stream} {version} {arch} {scheme}".encode()).hexdigest()
    return f"registry.example.org/os@sha256:{digest}" if scheme == "oci" else digest


def open_newest(document, *rollouts):
    """Adds rollouts to the newest releases: one list per release, oldest first."""
    for newest, added in zip(document["releases"][-len(rollouts) :], rollouts, strict=True):
        newest["rollouts"] = added


def released_daily(stream, count, is_trimmed):
    """Returns a stream on two arches with a release and its rollout every day. The newest rollout is live. If `is_trimmed`, nodes get
    the two newest of their targets."""
    document = made_up(stream, count, ARCHES[:2], SCHEMES[:1])
    open_newest(document, *([rollout(hours_ago=24 * (count - number) - 12)] for number in range(count)))
    return document | ({"targets": {"newest": 2}} if is_trimmed else {})


def rollout(start_share=0.0, hours_ago=12, **selector):
    """Returns a rollout from the start share to all nodes in 48 h."""
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours_ago)
    course = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "start_share": start_share, "duration": "PT48H"}
    return ({"selector": selector} if selector else {}) | course


def text(document):
    """Returns the document as TOML."""
    return "".join(f"{key} = {inline(value)}\n" for key, value in document.items())


def inline(value):
    """Formats a value. JSON and TOML share the syntax of strings, numbers, booleans and arrays, but not of tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
