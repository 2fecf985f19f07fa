"""A container registry for documents that use one, with an image that a reader would have pushed by then."""

import re

from docker_registry import DockerRegistry

from .documents import PROJECT

# What documents write for it.
ADDRESS = "localhost:5000"
REPOSITORY = "acme/os"


def started(folder):
    """Starts it with an image that is built on the newest release of the sample stream."""
    registry = DockerRegistry(folder)
    versions = re.findall(r'^version = "(.*)"', (PROJECT / "streams/fedora-coreos/stable.toml").read_text(), re.M)
    try:
        registry.push(REPOSITORY, "stable", {"org.opencontainers.image.version": versions[-1], "com.coreos.stream": "stable"})
    except OSError:
        registry.close()
        raise
    return registry
