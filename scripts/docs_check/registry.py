"""A container registry for documents that use one, with an image that a reader would have pushed by then."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time

from .documents import PROJECT, Failed

# What documents write for it.
ADDRESS = "localhost:5000"
REPOSITORY = "acme/os"
MAX_SECONDS_TO_START = 60
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """Debian's docker-registry on a free port of loopback."""

    def __init__(self, folder):
        program = shutil.which(os.environ.get("DOCKER_REGISTRY", "docker-registry"))
        if not program:
            raise Failed("docker-registry is not installed, which commands with a registry need: run make registry")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = folder / "registry.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
            f'http: {{addr: "127.0.0.1:{self.port}", secret: docs}}\n'
        )
        self.process = subprocess.Popen([program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + MAX_SECONDS_TO_START
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Failed("docker-registry does not start")
            time.sleep(0.1)
        self.push_image()

    @property
    def address(self):
        return f"localhost:{self.port}"

    def stop(self):
        self.process.kill()
        self.process.wait()

    def request(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            response.read()
            return response

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/v2/").status == 200
        return False

    def push_image(self):
        """Pushes an image of one arch that is built on the newest release of the sample stream."""
        versions = re.findall(r'^version = "(.*)"', (PROJECT / "streams/fedora-coreos/stable.toml").read_text(), re.M)
        labels = {"org.opencontainers.image.version": versions[-1], "com.coreos.stream": "stable"}
        config = {"os": "linux", "architecture": "amd64", "config": {"Labels": labels}, "rootfs": {"type": "layers", "diff_ids": []}}
        content = json.dumps(config).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        started = self.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        location = started.getheader("location")
        self.request("PUT", f"{location}&digest={digest}", content)
        descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(content)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []}
        pushed = self.request("PUT", f"/v2/{REPOSITORY}/manifests/stable", json.dumps(manifest), {"content-type": MANIFEST}.items())
        if pushed.status != 201:
            raise Failed(f"docker-registry answers with {pushed.status} to the image of the documents")
