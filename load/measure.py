"""Instruments: wrk, pairs of runs, and watchers for changes."""

import contextlib
import http.client
import json
import math
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

    @staticmethod
    def read(process, seconds=0):
        """Waits for a run that ends within `seconds`, and returns its figures."""
        printed, _ = process.communicate(timeout=seconds + 60)
        line = next((line for line in printed.splitlines() if line.startswith("{")), None)
        if process.returncode != 0 or not line:
            raise Failed(f"wrk: {printed.strip()}")
        seen = json.loads(line)
        return Sample(
            polls=seen["polls"],
            per_second=seen["polls"] / (seen["time"] / 1e6),
            p50=seen["p50"] / 1000,
            p99=seen["p99"] / 1000,
            rejected=seen["rejected"],
            broken=seen["broken"],
        )


@dataclass(frozen=True)
class Side:
    """A server, and the file of its queries."""

    name: str
    port: int
    queries: Path

    def polling(self, seconds, *headers, connections=CONNECTIONS):
        """Starts wrk, which polls as fast as possible from one thread."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", POLL_LUA, "-H", "Accept: application/json"]
        for header in headers:
            command += ["-H", header]
        command += [f"http://{HOST}:{self.port}", "--", self.queries]
        return child(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def poll(self, seconds, *headers):
        with self.polling(seconds, *headers) as process:
            return Sample.read(process, seconds)


def pairs(lengths, base, compared, *headers):
    """Runs both sides in turns, so that other load on the machine affects both equally."""
    for side in (base, compared):
        if lengths.warm_up:
            side.poll(lengths.warm_up, *headers)
    return [
        (flawless(base, lengths.run, headers), flawless(compared, lengths.run, headers)) for _ in range(lengths.pairs)
    ]


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
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=10)
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
