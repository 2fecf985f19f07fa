"""The duration of writes over HTTP, from the request to the durable response."""

import http.client
import json
import statistics
import time
import urllib.parse

import documents
from measure import percentile
from report import Outcome, Row
from servers import HOST, Failed

# Seconds.
TARGET = 0.05


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def writes(bench):
    """Pauses and resumes a rollout of the real stable stream, and changes the notes of its release, repeatedly."""
    with bench.serve_real() as server:
        desk = Desk(server, "stable")
        release = f"releases/{urllib.parse.quote(bench.real.stable['releases'][-1]['version'], safe='')}"
        seconds = []
        for number in range(bench.lengths.writes):
            for method, path, body in (
                ("POST", f"{release}/rollouts/1/pause", None),
                ("PATCH", release, {"notes": f"write {number}"}),
                ("POST", f"{release}/rollouts/1/resume", None),
            ):
                seconds.append(desk.write(method, path, body))
        releases, size = len(bench.real.stable["releases"]), desk.document_bytes()
    what = f"a write over HTTP to a stream of {releases} releases, durable, p99"
    row = Row(what, TARGET, TARGET, percentile(seconds, 0.99), milliseconds)
    figures = ", ".join(
        f"{name} {milliseconds(figure)}"
        for name, figure in (("median", statistics.median(seconds)), ("max", max(seconds)))
    )
    return Outcome([row], [f"{len(seconds)} writes, each storing a document of {size:,} bytes: {figures}."])


class Desk:
    """A release manager with a token, on one connection."""

    def __init__(self, server, stream):
        create_token = ["token", "create", "--role", "admin", "--streams", "*", "--expires-in", "1h", "--name", "load test"]
        token = server.program.run(*create_token, "--data-dir", server.data_dir).strip()
        self.headers = {"Authorization": f"Bearer {token}", "If-Match": "*", "Content-Type": "application/json"}
        self.root = f"/api/v1/products/{documents.PRODUCT}/streams/{stream}"
        self.connection = http.client.HTTPConnection(HOST, server.port, timeout=10)

    def write(self, method, path, body):
        """Sends a write, and returns its duration."""
        begun = time.monotonic()
        target = f"{self.root}/{path}?reason=load+test&acknowledge=true"
        self.connection.request(method, target, json.dumps(body) if body else None, self.headers)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200 or not json.loads(body)["changed"]:
            raise Failed(f"{method} {path}: {response.status} {body[:500]}")
        return time.monotonic() - begun

    def document_bytes(self):
        self.connection.request("GET", f"{self.root}/document", headers=self.headers)
        return len(self.connection.getresponse().read())
