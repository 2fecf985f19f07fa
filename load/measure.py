"""The instruments: wrk, pairs of runs, and who watches when a change shows."""

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
    """What one run of wrk saw."""

    polls: int
    per_second: float
    # Milliseconds.
    p50: float
    p99: float
    # Answers that were no success, and sockets that failed.
    refused: int
    broken: int

    @staticmethod
    def of(process, seconds=0):
        """What a run saw that ends within so many seconds."""
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
            refused=seen["refused"],
            broken=seen["broken"],
        )


@dataclass(frozen=True)
class Side:
    """A server, and the file of queries that it is asked."""

    name: str
    port: int
    queries: Path

    def polling(self, seconds, *headers, connections=CONNECTIONS):
        """Asks as fast as it answers, from one thread, beside us."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", POLL_LUA, "-H", "Accept: application/json"]
        for header in headers:
            command += ["-H", header]
        command += [f"http://{HOST}:{self.port}", "--", self.queries]
        return child(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def poll(self, seconds, *headers):
        with self.polling(seconds, *headers) as process:
            return Sample.of(process, seconds)


def pairs(lengths, base, ours, *headers):
    """Runs of both sides, in turns: whatever else the machine does meets both alike."""
    for side in (base, ours):
        if lengths.warm_up:
            side.poll(lengths.warm_up, *headers)
    return [
        (flawless(base, lengths.run, headers), flawless(ours, lengths.run, headers)) for _ in range(lengths.pairs)
    ]


def flawless(side, seconds, headers):
    sample = side.poll(seconds, *headers)
    if sample.refused or sample.broken or not sample.polls:
        raise Failed(f"{side.name}: of {sample.polls} polls {sample.refused} were refused, {sample.broken} broke")
    return sample


def ratio(samples, figure):
    """The median over the pairs of ours to the base's."""
    return statistics.median(getattr(ours, figure) / getattr(base, figure) for base, ours in samples)


def percentile(values, share):
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


class Watcher:
    """Asks a server over and over at which revision a stream is, and keeps when each was first seen."""

    EVERY = 0.002

    def __init__(self, server, stream):
        self.server, self.name = server, f"{PRODUCT}/{stream}"
        self.seen = {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=10)
        # A server that is gone shows nothing more: whoever waits for that will tell.
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while not self.stopping.wait(self.EVERY):
                connection.request("GET", "/healthz/ready")
                readiness = json.loads(connection.getresponse().read())
                self.seen.setdefault(readiness["streams"].get(self.name), time.time())

    def seen_at(self, revision):
        """When this revision, or one that came right after it, was first seen."""
        # A copy: the thread goes on writing.
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
