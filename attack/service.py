"""The service under attack, and the monitor that checks that it still serves."""

import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

STREAMS, RELEASES, ARCHES = 10, 300, ["x86_64", "aarch64", "ppc64le", "s390x"]
START = 1_790_000_000
MAX_MEMORY_KIB = 512 * 1024
REASON = "reason=under+attack"


class Harm(AssertionError):
    """Harm that an attack did."""


def check(is_ok, what):
    if not is_ok:
        raise Harm(what)


def payload(stream, release, arch):
    digest = f"{stream:016x}{release:016x}{ARCHES.index(arch):032x}"
    return {"arch": arch, "scheme": "oci", "id": f"quay.io/os/os@sha256:{digest}"}


def document(stream, releases=RELEASES):
    """Returns a stream document in TOML."""
    lines = ["format = 1", 'product = "os"', f'stream = "s{stream}"', f"arches = {json.dumps(ARCHES)}"]
    for release in range(releases):
        payloads = ", ".join(
            "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in payload(stream, release, arch).items()) + " }"
            for arch in ARCHES
        )
        lines += ["[[releases]]", f'version = "1.{release}"', f"payloads = [{payloads}]"]
        if release % 10 == 9:
            lines.append("rollouts = [{ start_share = 1.0 }]")
    return "\n".join(lines) + "\n"


class Service:
    """A running service with a private database, and the tokens for it."""

    def __init__(self, binary, settings=None):
        self.binary = os.path.abspath(binary)
        self.folder = tempfile.TemporaryDirectory(prefix="lockkeeper-attack-")
        os.chmod(self.folder.name, 0o755)
        self.path = pathlib.Path(self.folder.name)
        streams = self.path / "streams" / "os"
        streams.mkdir(parents=True)
        for stream in range(STREAMS):
            (streams / f"s{stream}.toml").write_text(document(stream))
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCKKEEPER_")}
        self.environment.pop("DATABASE_URL", None)
        self.environment |= {
            "LOCKKEEPER_DATA_DIR": str(self.path / "data"),
            "LOCKKEEPER_STREAMS_DIR": str(self.path / "streams"),
            "LOCKKEEPER_OFFER_SYNTHETIC": "true",
            "LOCKKEEPER_LISTEN": "127.0.0.1:0",
        } | (settings or {})
        self.log = open(self.path / "log", "w+")
        self.process = subprocess.Popen([self.binary, "serve"], env=self.environment, stderr=self.log)
        self.port = self._port()
        self._wait_until_ready()

    def _port(self):
        return int(self._logged(r"listening address=127\.0\.0\.1:(\d+)", 60))

    def _logged(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, (self.path / "log").read_text())
            if found:
                return found.group(1)
            check(self.process.poll() is None, "the service ended: " + (self.path / "log").read_text()[-2000:])
            time.sleep(0.05)
        raise Harm(f"no line of the log matches {pattern}: " + (self.path / "log").read_text()[-2000:])

    def _wait_until_ready(self):
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/healthz/ready").status == 200:
                    return
            time.sleep(0.2)
        raise Harm("the service never became ready")

    def command(self, *arguments, check_status=True, **more):
        completed = subprocess.run([self.binary, *arguments], env=self.environment | more.pop("environment", {}),
                              capture_output=True, text=True, errors="replace", timeout=300, **more)
        if check_status:
            check(completed.returncode == 0, f"{arguments}: {completed.stderr}")
        return completed

    def token(self, role, on, name="attacker", lifetime="1h", **more):
        return self.command("token", "create", "--role", role, "--streams", on, "--expires-in", lifetime, "--name", name, **more).stdout.strip()

    def ask(self, method, path, token=None, body=None, headers=None, timeout=20, source="127.0.0.1"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=(source, 0))
        headers = dict(headers or {})
        if token:
            headers["authorization"] = f"Bearer {token}"
        if isinstance(body, (dict, list)):
            body, headers["content-type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            response.text = response.read().decode(errors="replace")
            return response
        finally:
            connection.close()

    def write(self, method, path, token, body=None, query="", headers=None, **more):
        path = f"/api/v1/products/os/streams/{path}?{REASON}{query}"
        return self.ask(method, path, token, body, {"if-match": "*"} | (headers or {}), **more)

    def memory_kib(self, field="VmHWM"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.log.close()
        self.folder.cleanup()


class Watch:
    """Polls, probes and stops every stream in turn while an attack runs, from its own address. A long hold of a stream's lock shows as a slow
    stop. Another thread lifts the stops, because a lift may have to wait for other writes."""

    def __init__(self, service, admin, max_seconds):
        self.service, self.admin, self.max_seconds = service, admin, max_seconds
        self.slowest = {"poll": 0.0, "probe": 0.0, "stop": 0.0}
        self.failures, self.rounds, self.lifts, self.ended = [], 0, 0, threading.Event()
        self.stopped = queue.SimpleQueue()

    def _measure(self, what, ask):
        started = time.monotonic()
        try:
            response = ask()
            if response.status != 200:
                self.failures.append(f"{what}: {response.status} {response.text[:200]}")
        except OSError as error:
            self.failures.append(f"{what}: {error!r}")
        self.slowest[what] = max(self.slowest[what], time.monotonic() - started)

    def _lift(self):
        while (stream := self.stopped.get()) is not None:
            try:
                response = self.service.write("DELETE", f"{stream}/emergency-stop", self.admin, query="&acknowledge=true", source="127.0.0.9")
            except OSError:
                continue
            self.lifts += response.status == 200
            # 404: an earlier lift was still in progress.
            if response.status not in (200, 404, 503):
                self.failures.append(f"lift of {stream}: {response.status} {response.text[:200]}")

    def _run(self):
        poll = "/os/v1/graph?" + urllib.parse.urlencode({"stream": "s1", "basearch": "x86_64", "oci": "true", "rollout_wariness": "0.5"})
        while True:
            more = {"timeout": 10, "source": "127.0.0.9"}
            self._measure("poll", lambda: self.service.ask("GET", poll, **more))
            self._measure("probe", lambda: self.service.ask("GET", "/healthz/ready", **more))
            stream = f"s{self.rounds % STREAMS}"
            self._measure("stop", lambda: self.service.write("POST", f"{stream}/emergency-stop", self.admin, **more))
            self.stopped.put(stream)
            self.rounds += 1
            if self.ended.wait(0.1):
                return

    def __enter__(self):
        self.threads = [threading.Thread(target=run) for run in (self._run, self._lift)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ended.set()
        self.threads[0].join()
        self.stopped.put(None)
        self.threads[1].join()
        if kind is not None:
            return
        check(self.rounds > 0 and self.lifts > 0, f"{self.rounds} rounds, {self.lifts} lifts: the monitor did not run")
        check(not self.failures, f"{len(self.failures)} of {3 * self.rounds} requests failed: {self.failures[:3]}")
        for what, slowest in self.slowest.items():
            check(slowest <= self.max_seconds, f"a {what} took {slowest:.2f} s")


def at_once(count, work):
    """Runs work(0) to work(count - 1), each on its own thread, and returns their results."""
    results = [None] * count

    def run(number):
        try:
            results[number] = work(number)
        except OSError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
