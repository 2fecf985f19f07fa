"""Instruments: wrk, pairs of runs, and watchers for changes."""

import contextlib
import dataclasses
import http.client
import json
import math
import os
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from documents import PRODUCT
from servers import HOST, Failed, child

POLL_LUA = Path(__file__).with_name("poll.lua")
CONNECTIONS = 64
CLOSE = "Connection: close"
GZIP = "Accept-Encoding: gzip"


@dataclass(frozen=True)
class Sample:
    """The figures of one run of wrk."""

    polls: int
    per_second: float
    # Milliseconds.
    p50: float
    p99: float
    # Responses with an error status, and failed sockets.
    rejected: int
    broken: int
    # Microseconds of CPU time of the server per poll, if its process is known.
    cpu: float = 0.0
    # TLS handshakes, and those that resumed a session or were older than TLS 1.3, if they were counted.
    handshakes: int = 0
    resumed: int = 0

    @staticmethod
    def read(process, seconds=0):
        """Waits for a run that ends within `seconds`, and returns its figures."""
        printed, _ = process.communicate(timeout=seconds + 60)
        lines = printed.splitlines()
        line = next((line for line in lines if line.startswith("{")), None)
        if process.returncode != 0 or not line:
            raise Failed(f"wrk: {printed.strip()}")
        seen = json.loads(line)
        counts = next((line.split()[1:] for line in lines if line.startswith("handshakes ")), ["0"] * 3)
        handshakes, resumed, older = map(int, counts)
        return Sample(
            polls=seen["polls"],
            per_second=seen["polls"] / (seen["time"] / 1e6),
            p50=seen["p50"] / 1000,
            p99=seen["p99"] / 1000,
            rejected=seen["rejected"],
            broken=seen["broken"],
            handshakes=handshakes,
            resumed=resumed + older,
        )


@dataclass(frozen=True)
class Side:
    """A server, and the file of its queries."""

    name: str
    port: int
    queries: Path
    # The process whose CPU time is measured.
    pid: int | None = None
    scheme: str = "http"
    # The path of a library for wrk.
    preload: Path | None = None

    def polling(self, seconds, *headers, connections=CONNECTIONS, delay=0):
        """Starts wrk, which polls from one thread: as fast as possible, or with a delay in milliseconds after each poll of a connection."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", POLL_LUA, "-H", "Accept: application/json"]
        for header in headers:
            command += ["-H", header]
        command += [f"{self.scheme}://{HOST}:{self.port}", "--", self.queries, *([delay] if delay else [])]
        environment = os.environ | ({"LD_PRELOAD": str(self.preload)} if self.preload else {})
        return child(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def poll(self, seconds, *headers):
        before = cpu_seconds(self.pid)
        with self.polling(seconds, *headers) as process:
            sample = Sample.read(process, seconds)
        used = cpu_seconds(self.pid) - before
        return dataclasses.replace(sample, cpu=used * 1e6 / max(sample.polls, 1))


def cpu_seconds(pid):
    """Returns the CPU time of a process and of the processes that it started, in user and in system mode; 0 without a process."""
    if pid is None:
        return 0.0
    # The name, in parentheses, may contain spaces. After it, the 12th and 13th field are utime and stime.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(each)) for each in children)


def turns(lengths, sides, *headers):
    """Runs all sides in turns, so that other load on the machine affects them equally. Returns the samples of each turn."""
    for side in sides:
        if lengths.warm_up:
            side.poll(lengths.warm_up, *headers)
    return [tuple(flawless(side, lengths.run, headers) for side in sides) for _ in range(lengths.pairs)]


def pairs(lengths, base, compared, *headers):
    return turns(lengths, (base, compared), *headers)


def flawless(side, seconds, headers):
    sample = side.poll(seconds, *headers)
    if sample.rejected or sample.broken or not sample.polls:
        raise Failed(f"{side.name}: of {sample.polls} polls {sample.rejected} were rejected, {sample.broken} broke")
    return sample


def ratio(samples, figure):
    """Returns the median of the ratio to the base over all pairs."""
    return statistics.median(getattr(compared, figure) / getattr(base, figure) for base, compared in samples)


def percentile(values, share):
    """Returns the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


class Watcher:
    """Polls the revision of a stream on a server, and records when each revision was first seen."""

    EVERY = 0.002

    def __init__(self, server, stream):
        self.server, self.name = server, f"{PRODUCT}/{stream}"
        self.seen = {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        connection = http.client.HTTPConnection(HOST, self.server.status_port, timeout=10)
        # If the server ends, the thread ends, and waiting for a revision fails.
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while not self.stopping.wait(self.EVERY):
                connection.request("GET", "/healthz/ready")
                readiness = json.loads(connection.getresponse().read())
                self.seen.setdefault(readiness["streams"].get(self.name), time.time())

    def seen_at(self, revision):
        """Returns when this revision or a later one was first seen."""
        # A copy, since the thread continues to write.
        return min((at for number, at in list(self.seen.items()) if number and number >= revision), default=None)


@contextlib.contextmanager
def watching(servers, stream):
    watchers = [Watcher(server, stream) for server in servers]
    for watcher in watchers:
        watcher.thread.start()
    try:
        yield watchers
    finally:
        for watcher in watchers:
            watcher.stopping.set()
            watcher.thread.join()
