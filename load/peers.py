"""The servers that Lockkeeper is compared with, nginx and a bare event loop, and a collector of telemetry."""

import contextlib
import grp
import http.server
import os
import pwd
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from servers import HOST, SHOWN_OUTPUT, Failed, child, free_port, is_listening, wait_until


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
        listen {host}:{port}{tls};
        location = /v1/graph {{
            alias {folder}/graph.json;
            gzip_static on;
        }}
    }}
}}
"""


# Sessions and tickets keep their defaults, as in Lockkeeper.
NGINX_TLS = """ ssl;
        ssl_protocols TLSv1.3;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key}"""


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and its key."""

    chain: Path
    key: Path


def certificate(folder):
    """Creates a certificate with a key for ECDSA P-256."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", made.key, "-out", made.chain]
    subprocess.run(command, check=True, capture_output=True)
    return made


class Peer(NamedTuple):
    """The port of a server, and its process."""

    port: int
    pid: int


def compiled(source, folder, *options):
    """Compiles a C file next to this one, and returns the path of the result."""
    path = folder / source.removesuffix(".c")
    command = [shutil.which("cc"), "-O2", "-o", path, Path(__file__).with_name(source), *options]
    subprocess.run(command, check=True, capture_output=True)
    return path


@contextlib.contextmanager
def bare_loop(program, folder, response):
    """Runs the bare event loop, which answers every poll with these bytes: a head and a body."""
    folder.mkdir()
    (folder / "response").write_bytes(response)
    port = free_port()
    with child([program, port, os.cpu_count(), folder / "response"]) as process:
        wait_until(lambda: is_listening(port) or process.poll() is not None, 10, "the start of the bare loop")
        if process.poll() is not None:
            raise Failed("the bare loop ended")
        yield Peer(port, process.pid)


@contextlib.contextmanager
def nginx(folder, body, gzipped=None, certificate=None):
    """Runs nginx, which answers every poll with these bytes from a file."""
    folder.mkdir()
    (folder / "graph.json").write_bytes(body)
    if gzipped:
        (folder / "graph.json.gz").write_bytes(gzipped)
    port = free_port()
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    tls = NGINX_TLS.format(certificate=certificate) if certificate else ""
    text = NGINX.format(folder=folder, host=HOST, port=port, user=user, group=group, cores=os.cpu_count(), tls=tls)
    (folder / "nginx.conf").write_text(text)
    command = [nginx_program(), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    with child(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: is_listening(port) or process.poll() is not None, 10, "the start of nginx")
        if process.poll() is not None:
            raise Failed(f"nginx ended: {(folder / 'error.log').read_text()[-SHOWN_OUTPUT:]}")
        yield Peer(port, process.pid)


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
