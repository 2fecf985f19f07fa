"""Starts the proxy in front of two simulated replicas, and counts the requests of each.
usage: proxy.py CADDY"""

import http.client
import http.server
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Replica:
    """A simulated replica that counts requests, and can break every connection."""

    def __init__(self, address):
        self.seen, self.breaks, self.ready = [], False, True
        replica = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                if self.path == "/healthz/ready":
                    self.send_response(200 if replica.ready else 503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                replica.seen.append(self.command)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if replica.breaks:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, port_of_replicas), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def ask(method, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request(method, "/", body=b"x" if method in ("PUT", "POST") else None)
    return connection.getresponse().status


def until(holds, what):
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"proxy: {what}: not within 20 s")
        time.sleep(0.1)


# The Caddyfile with other addresses: one port per replica, and free ports for the proxy.
port_of_replicas, agents, managers = free_port(), free_port(), free_port()
text = pathlib.Path("docker/Caddyfile").read_text()
text = re.sub(r"^:8080 ", f"http://127.0.0.1:{agents} ", text, flags=re.M)
text = re.sub(r"^:8081 ", f"http://127.0.0.1:{managers} ", text, flags=re.M)
text = re.sub(r"lockkeeper-(\d):\d+", rf"127.0.0.1\1:{port_of_replicas}", text)
text = text.replace("health_port 8082", f"health_port {port_of_replicas}")
one, other = Replica("127.0.0.11"), Replica("127.0.0.12")

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "Caddyfile")
    path.write_text(text)
    log = open(f"{folder}/log", "w+")
    caddy = subprocess.Popen([sys.argv[1], "run", "--adapter", "caddyfile", "--config", str(path)], stdout=log, stderr=log)
    try:

        def is_up():
            if caddy.poll() is not None:
                sys.exit(f"proxy: {pathlib.Path(folder, 'log').read_text()}")
            try:
                return ask("GET", agents) == 200 and ask("GET", managers) == 200
            except OSError:
                return False

        until(is_up, "it answers")
        until(lambda: ask("GET", agents) and one.seen and other.seen, "both replicas get something")

        # If a replica breaks the connection, a GET goes to the other replica, and a write does not.
        one.breaks = True
        for method in ("GET", "PUT", "POST", "DELETE"):
            answers = set()
            for _ in range(40):
                # The proxy sends nothing to a replica that it considers down.
                one.seen.clear(), other.seen.clear()
                answers.add(ask(method, managers))
                if one.seen:
                    break
                time.sleep(0.25)
            if not one.seen:
                sys.exit(f"proxy: no {method} came to the replica that breaks")
            again = method in other.seen
            if again != (method == "GET"):
                sys.exit(f"proxy: a {method} that failed was {'' if again else 'not '}sent again")
            if answers - {200, 502} or (method == "GET" and 502 in answers):
                sys.exit(f"proxy: {method} was answered {answers}")

        # A replica that is not ready gets no more requests.
        one.breaks = False
        one.seen.clear()
        until(lambda: ask("GET", agents) == 200 and one.seen, "the recovered replica gets requests again")
        one.ready = False

        def only_the_other():
            one.seen.clear()
            return {ask("GET", agents) for _ in range(20)} == {200} and not one.seen

        until(only_the_other, "the replica that is not ready is left alone")
    finally:
        caddy.terminate()
        caddy.wait()
print("proxy: a failed GET goes to the other replica, a write never; a replica that is not ready gets no requests")
