"""A release manager, who reads and writes over HTTP."""

import http.client
import json
import time
import urllib.parse
from dataclasses import dataclass

import documents
from servers import HOST, Failed, wait_until

SECONDS = 120
CREATED = 201
NOT_READY = 503


@dataclass(frozen=True)
class Answered:
    """A response, and how long it took from the request to its last byte."""

    seconds: float
    body: bytes

    def json(self):
        return json.loads(self.body)


class Manager:
    """A release manager with a token, on one connection. Paths are below the product."""

    def __init__(self, server):
        create_token = ["token", "create", "--role", "admin", "--streams", "*", "--expires-in", "1h", "--name", "load test"]
        token = server.program.run(*create_token, "--data-dir", server.data_dir).strip()
        self.headers = {"Authorization": f"Bearer {token}", "If-Match": "*", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection(HOST, server.port, timeout=SECONDS)
        # Polls are answered from the snapshot before the database is open.
        wait_until(lambda: self.status("GET", "/api/v1/products") != NOT_READY, SECONDS, "the database")

    def close(self):
        self.connection.close()

    def status(self, method, target):
        self.connection.request(method, target, headers=self.headers)
        response = self.connection.getresponse()
        response.read()
        return response.status

    def read(self, path, **query):
        return self.send("GET", path, None, query, 200)

    def write(self, method, path, body=None, status=200, **query):
        """Sends a write, and checks that it changed something."""
        answered = self.send(method, path, body, {"reason": "load test", "acknowledge": "true"} | query, status)
        if not answered.json()["changed"]:
            raise Failed(f"{method} {path} changed nothing")
        return answered

    def send(self, method, path, body, query, status):
        target = f"/api/v1/products/{documents.PRODUCT}/{path}"
        sent = None if body is None else json.dumps(body)
        begun = time.monotonic()
        self.connection.request(method, f"{target}?{urllib.parse.urlencode(query)}" if query else target, sent, self.headers)
        response = self.connection.getresponse()
        received = response.read()
        answered = Answered(time.monotonic() - begun, received)
        if response.status != status:
            raise Failed(f"{method} {path}: {response.status} {answered.body[:500]}")
        return answered


def release_path(stream, version):
    return f"streams/{stream}/releases/{urllib.parse.quote(version, safe='')}"
