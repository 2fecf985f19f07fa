"""Starts and stops Lockkeeper with its private PostgreSQL.

All servers listen only on 127.0.0.1, keep their files below the given folder, and end with their `with` block.
"""

import contextlib
import functools
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import documents

HOST = "127.0.0.1"
MAX_SECONDS_TO_START = 600
MAX_SECONDS_TO_STOP = 60
# How much of a program's last output is shown, in characters.
SHOWN_OUTPUT = 1500


class Failed(Exception):
    """A measurement failed; the text says why."""


@contextlib.contextmanager
def child(command, **options):
    """Runs a program during the block."""
    # In its own session: on Ctrl-C, this process ends the programs in order.
    process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(MAX_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    """Polls `condition` every few milliseconds until it is true, and returns its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise Failed(f"{what}: timeout after {seconds} s")


def ask(port, target, headers=None, seconds=10):
    """Sends one request on a new connection. Returns the status, the headers, and the body without decoding."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request("GET", target, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


class Program:
    """Lockkeeper's program, in an environment without settings."""

    def __init__(self, binary):
        self.binary = Path(binary).resolve()
        if not os.access(self.binary, os.X_OK):
            raise Failed(f"{binary} is not an executable: build it first")
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name != "DATABASE_URL" and not name.startswith("LOCKKEEPER_")
        }
        # As README recommends for production: with many releases, a poll touches several pages of memory.
        self.environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"

    @functools.cached_property
    def acknowledge(self):
        """The flag that accepts warnings, if the build knows it."""
        flag = "--acknowledge"
        return [flag] if flag in self.run("document", "put", "--help") else []

    @functools.cached_property
    def can_trim(self):
        """True if the build knows the setting of a stream that limits the targets of a node."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.toml"
            path.write_text(f'format = 1\nproduct = "{documents.PRODUCT}"\nstream = "probe"\ntargets = {{ newest = 2 }}\n')
            # The document is read before the database, which does not exist.
            environment = self.environment | {"DATABASE_URL": "postgres://127.0.0.1:1/none"}
            command = [str(self.binary), "document", "put", str(path), "--reason", "probe", "--data-dir", folder]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        return "unknown field `targets`" not in ran.stderr

    def run(self, *arguments):
        """Runs a command, and returns its output."""
        command = [str(self.binary), *map(str, arguments)]
        ran = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=120, start_new_session=True
        )
        if ran.returncode != 0:
            raise Failed(f"lockkeeper {' '.join(command[1:3])}: {ran.stderr.strip()[-SHOWN_OUTPUT:]}")
        return ran.stdout

    @contextlib.contextmanager
    def serve(self, data_dir, streams_dir=None, **settings):
        """Starts a service and waits until it is ready. Settings have their names in the environment: `catalog__notifications="false"`.
        With a certificate, health and metrics have a port of their own without TLS."""
        port = free_port()
        status_port = free_port() if "tls__certificate" in settings else port
        command = [self.binary, "serve", "--listen", f"{HOST}:{port}", "--data-dir", data_dir]
        if status_port != port:
            settings["listeners__status"] = f"{HOST}:{status_port}"
        if streams_dir:
            command += ["--streams-dir", streams_dir]
        environment = self.environment | {f"LOCKKEEPER_{name.upper()}": value for name, value in settings.items()}
        log = Path(data_dir) / f"serve-{port}.log"
        try:
            with log.open("wb") as stderr, child(command, env=environment, stderr=stderr) as process:
                server = Server(self, Path(data_dir), port, process, status_port)
                wait_until(lambda: server.is_ready() or process.poll() is not None, MAX_SECONDS_TO_START, "the start")
                if process.poll() is not None:
                    raise Failed(f"lockkeeper serve ended: {log.read_text()[-SHOWN_OUTPUT:]}")
                yield server
        finally:
            self.stop_postgres(data_dir)

    def stop_postgres(self, data_dir):
        """Stops the PostgreSQL of a service that was killed: the last command that uses it stops it."""
        if (Path(data_dir) / POSTMASTER_PID).exists():
            self.run("database", "exec", "--data-dir", data_dir, "--", "true")


POSTMASTER_PID = "postgres/cluster/postmaster.pid"


class Server:
    """A running Lockkeeper."""

    def __init__(self, program, data_dir, port, process, status_port):
        self.program, self.data_dir, self.port, self.process = program, data_dir, port, process
        self.status_port, self.pid = status_port, process.pid

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(self.status_port, "/healthz/ready")[0] == 200
        return False

    def revision(self, stream):
        """Returns the served revision of a stream."""
        return self.revisions().get(f"{documents.PRODUCT}/{stream}", 0)

    def revisions(self):
        """Returns the served revision of every stream."""
        return json.loads(ask(self.status_port, "/healthz/ready")[2])["streams"]

    def metric(self, name, without=None):
        """Returns the sum of a metric over all samples except those that contain `without`."""
        lines = ask(self.status_port, "/metrics")[2].decode().splitlines()
        samples = [line for line in lines if line.startswith(name) and not (without and without in line)]
        return sum(float(sample.split()[-1]) for sample in samples)

    def memory(self, field):
        """Returns `VmRSS`, `VmHWM`, ... of the process in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(f"{field}:"))

    def postmaster(self):
        """Returns the process id of the private PostgreSQL; None while it is down."""
        path = self.data_dir / POSTMASTER_PID
        with contextlib.suppress(OSError, IndexError):
            pid = int(path.read_text().split()[0])
            # A killed server leaves its file, whose pid may be reused. The working directory identifies a server.
            return pid if os.readlink(f"/proc/{pid}/cwd") == str(path.parent) else None
        return None

    def show(self, stream):
        """Returns a stream's document."""
        document = self.program.run("document", "show", "--stream", stream, "--data-dir", self.data_dir)
        return tomllib.loads(document)

    def put(self, document):
        """Uploads a document, and sets its revision to the new one."""
        path = self.data_dir / "put.toml"
        path.write_text(documents.text(document))
        output = self.program.run(
            "document", "put", path, "--reason", "load test", "--data-dir", self.data_dir, *self.program.acknowledge
        )
        document["revision"] = int(output.split("revision ")[1].split()[0])

    def wait_for(self, stream, revision, seconds=30):
        wait_until(lambda: self.revision(stream) >= revision, seconds, f"revision {revision} of {stream}")

    def query(self, sql):
        """Returns the rows of a query of the private PostgreSQL, each a list of strings."""
        command = ["sh", "-c", 'psql --no-psqlrc -At -F " " -v ON_ERROR_STOP=1 -c "$1" "$DATABASE_URL"', "sh", sql]
        rows = self.program.run("database", "exec", "--data-dir", self.data_dir, "--", *command)
        return [row.split() for row in rows.splitlines()]
