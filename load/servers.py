"""Starts and stops Lockkeeper with its private PostgreSQL, and nginx for comparison.

All servers listen only on 127.0.0.1, keep their files below the given folder, and end with their `with` block.
"""

import contextlib
import functools
import grp
import http.client
import http.server
import json
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from pathlib import Path

import documents

HOST = "127.0.0.1"
MAX_SECONDS_TO_START = 120
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


def ask(port, target, headers=None):
    """Sends one request on a new connection. Returns the status, the headers, and the body without decoding."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", target, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


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
        """Starts a service and waits until it is ready. Settings have their names in the environment: `catalog__notifications="false"`."""
        port = free_port()
        command = [self.binary, "serve", "--listen", f"{HOST}:{port}", "--data-dir", data_dir]
        if streams_dir:
            command += ["--streams-dir", streams_dir]
        environment = self.environment | {f"LOCKKEEPER_{name.upper()}": value for name, value in settings.items()}
        log = Path(data_dir) / f"serve-{port}.log"
        try:
            with log.open("wb") as stderr, child(command, env=environment, stderr=stderr) as process:
                server = Server(self, Path(data_dir), port, process)
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

    def __init__(self, program, data_dir, port, process):
        self.program, self.data_dir, self.port, self.process = program, data_dir, port, process

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(self.port, "/healthz/ready")[0] == 200
        return False

    def revision(self, stream):
        """Returns the served revision of a stream."""
        readiness = json.loads(ask(self.port, "/healthz/ready")[2])
        return readiness["streams"].get(f"{documents.PRODUCT}/{stream}", 0)

    def metric(self, name, without=None):
        """Returns the sum of a metric over all samples except those that contain `without`."""
        lines = ask(self.port, "/metrics")[2].decode().splitlines()
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


def nginx_program():
    """Returns the path of nginx, whose folder is often only in root's PATH."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


NGINX = """\
daemon off;
user {user} {group};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes {cores};
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_timeout 1h;
    # Effectively unlimited, as in Lockkeeper.
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port};
        location = /v1/graph {{
            alias {folder}/graph.json;
            gzip_static on;
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder, body, gzipped=None):
    """Runs nginx, which answers every poll with these bytes from a file, and yields its port."""
    folder.mkdir()
    (folder / "graph.json").write_bytes(body)
    if gzipped:
        (folder / "graph.json.gz").write_bytes(gzipped)
    port = free_port()
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    text = NGINX.format(folder=folder, host=HOST, port=port, user=user, group=group, cores=os.cpu_count())
    (folder / "nginx.conf").write_text(text)
    command = [nginx_program(), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    with child(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: is_listening(port) or process.poll() is not None, 10, "the start of nginx")
        if process.poll() is not None:
            raise Failed(f"nginx ended: {(folder / 'error.log').read_text()[-SHOWN_OUTPUT:]}")
        yield port


class Receiver:
    """A collector's URL, and the paths that received data."""

    def __init__(self, url):
        self.url, self.paths = url, set()


@contextlib.contextmanager
def collector():
    """Runs a collector that accepts OTLP and discards it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            receiver.paths.add(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        receiver = Receiver(f"http://{HOST}:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
