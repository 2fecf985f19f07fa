"""Starts and stops what is measured: Lockkeeper with its private PostgreSQL, and nginx to compare with.

Everything listens on 127.0.0.1 alone, keeps its files below the folder it is given, and ends with its `with` block.
"""

import contextlib
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
MOST_SECONDS_TO_START = 120
MOST_SECONDS_TO_STOP = 60
# Of a program's last words, as much as tells why it ended.
LAST_WORDS = 1500


class Failed(Exception):
    """Something could not be measured; the text says why."""


@contextlib.contextmanager
def child(command, **options):
    """Runs a program beside us for as long as the block lasts, and never longer."""
    # A Ctrl-C is for us: what was started is ended in its order.
    process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(MOST_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    """What `condition` gives once that is something; it is asked every few milliseconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise Failed(f"{what}: not within {seconds} s")


def ask(port, target, headers=None):
    """One request on a connection of its own: the status, the headers, the body as it was sent."""
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
            raise Failed(f"{binary} is no program; build it first")
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name != "DATABASE_URL" and not name.startswith("LOCKKEEPER_")
        }
        # As README says for production: many releases are many pages, and a poll touches several.
        self.environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"

    def run(self, *arguments):
        """Runs a command to its end: what it printed."""
        command = [str(self.binary), *map(str, arguments)]
        ran = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=120, start_new_session=True
        )
        if ran.returncode != 0:
            raise Failed(f"lockkeeper {' '.join(command[1:3])}: {ran.stderr.strip()[-LAST_WORDS:]}")
        return ran.stdout

    @contextlib.contextmanager
    def serve(self, data_dir, streams_dir=None, **settings):
        """A service that is ready. Settings are named as in the environment: `catalog__notifications="false"`."""
        port = free_port()
        command = [self.binary, "serve", "--listen", f"{HOST}:{port}", "--data-dir", data_dir]
        if streams_dir:
            command += ["--streams-dir", streams_dir]
        environment = self.environment | {f"LOCKKEEPER_{name.upper()}": value for name, value in settings.items()}
        log = Path(data_dir) / f"serve-{port}.log"
        try:
            with log.open("wb") as stderr, child(command, env=environment, stderr=stderr) as process:
                server = Server(self, Path(data_dir), port, process)
                wait_until(lambda: server.is_ready() or process.poll() is not None, MOST_SECONDS_TO_START, "the start")
                if process.poll() is not None:
                    raise Failed(f"lockkeeper serve ended: {log.read_text()[-LAST_WORDS:]}")
                yield server
        finally:
            self.stop_postgres(data_dir)

    def stop_postgres(self, data_dir):
        """A service that was killed leaves its PostgreSQL behind: whoever uses it last stops it."""
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
        """The revision of a stream that polls are answered from."""
        readiness = json.loads(ask(self.port, "/healthz/ready")[2])
        return readiness["streams"].get(f"{documents.PRODUCT}/{stream}", 0)

    def metric(self, name, without=None):
        """The sum of a metric over all labels, those left out that contain a text; 0 if there are none."""
        lines = ask(self.port, "/metrics")[2].decode().splitlines()
        samples = [line for line in lines if line.startswith(name) and not (without and without in line)]
        return sum(float(sample.split()[-1]) for sample in samples)

    def memory(self, field):
        """`VmRSS`, `VmHWM`, ... of the process, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(f"{field}:"))

    def postmaster(self):
        """The process id of the private PostgreSQL; none while it is down."""
        path = self.data_dir / POSTMASTER_PID
        with contextlib.suppress(OSError, IndexError):
            pid = int(path.read_text().split()[0])
            # A killed one leaves its file behind, whose number may be another's by now; a server works there.
            return pid if os.readlink(f"/proc/{pid}/cwd") == str(path.parent) else None
        return None

    def show(self, stream):
        """A stream's document, to change and put back."""
        shown = self.program.run("document", "show", "--stream", stream, "--data-dir", self.data_dir)
        return tomllib.loads(shown)

    def put(self, document):
        """Makes a stream what the document says; the document then has the revision that this made."""
        path = self.data_dir / "put.toml"
        path.write_text(documents.text(document))
        said = self.program.run("document", "put", path, "--reason", "load test", "--data-dir", self.data_dir)
        document["revision"] = int(said.split("revision ")[1].split()[0])

    def wait_for(self, stream, revision, seconds=30):
        wait_until(lambda: self.revision(stream) >= revision, seconds, f"revision {revision} of {stream}")

    def query(self, sql):
        """The rows of a query of the private PostgreSQL, each a list of texts."""
        command = ["sh", "-c", 'psql --no-psqlrc -At -F " " -v ON_ERROR_STOP=1 -c "$1" "$DATABASE_URL"', "sh", sql]
        rows = self.program.run("database", "exec", "--data-dir", self.data_dir, "--", *command)
        return [row.split() for row in rows.splitlines()]


def nginx_program():
    """Where nginx is: users other than root often do not have its folder on their path."""
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
    # As many as there are: Lockkeeper does not close connections after a number of requests either.
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
    """An nginx that answers every poll with these bytes, out of a file: its port."""
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
            raise Failed(f"nginx ended: {(folder / 'error.log').read_text()[-LAST_WORDS:]}")
        yield port


class Told:
    """A collector's address, and which paths it was told something at."""

    def __init__(self, url):
        self.url, self.paths = url, set()


@contextlib.contextmanager
def collector():
    """Takes whatever is sent over OTLP, and keeps nothing."""

    class Taking(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            told.paths.add(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Taking) as server:
        told = Told(f"http://{HOST}:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
