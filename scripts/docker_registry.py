"""A container registry on loopback: Debian's docker-registry, and how to push images to it."""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import time

MAX_SECONDS_TO_START = 60
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


class DockerRegistry:
    """The registry, on a free port, with its files in a folder. Errors are of the kind OSError."""

    def __init__(self, folder):
        program = shutil.which(os.environ.get("DOCKER_REGISTRY", "docker-registry"))
        if not program:
            raise FileNotFoundError("docker-registry is not installed: run make registry")
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = folder / "registry.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
            f'http: {{addr: "127.0.0.1:{self.port}", secret: loopback}}\n'
        )
        # In its own session: on Ctrl-C, this process ends it.
        self.process = subprocess.Popen(
            [program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + MAX_SECONDS_TO_START
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise ChildProcessError("docker-registry does not start")
            time.sleep(0.1)

    def close(self):
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

    def push(self, repository, tag, labels):
        """Pushes an image for amd64 that has these labels and no layers."""
        config = {"os": "linux", "architecture": "amd64", "config": {"Labels": labels}, "rootfs": {"type": "layers", "diff_ids": []}}
        content = json.dumps(config).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        started = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        self.request("PUT", f"{started.getheader('location')}&digest={digest}", content)
        descriptor = {"mediaType": CONFIG, "digest": digest, "size": len(content)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []}
        path = f"/v2/{repository}/manifests/{tag}"
        pushed = self.request("PUT", path, json.dumps(manifest), {"content-type": MANIFEST}.items())
        if pushed.status != 201:
            raise ConnectionError(f"docker-registry answers with {pushed.status} to an image")
