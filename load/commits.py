"""Time from a pause until polls show it on every replica."""

import contextlib
import http.client
import statistics
import threading
import time

import queries
from behaviour import LONG
from manager import Manager, release_path
from measure import percentile
from report import Outcome, Row, milliseconds, table
from servers import HOST, Failed, wait_until

STREAM = "stable"
REPLICAS = 3
# Together 2,000 polls per second: every connection waits for as many milliseconds after each response.
CONNECTIONS, DELAY = 40, 20
# The polls are those of nodes on the newest releases, whose views have the same size in a stream of any length.
POLLED_RELEASES = 10


def commit_to_poll(bench):
    """Pauses and resumes a rollout while three replicas of one database are polled."""
    rows, cells = [], []
    _, small, _, large, largest = bench.lengths.scale
    for count in (small, large, largest):
        seconds, rates = pauses(bench, count)
        what = f"from sending a pause until polls to three replicas show it, {count:,} releases, p99"
        rows.append(Row(what, 0.15, 0.25, percentile(seconds, 0.99), milliseconds))
        spread = (min(seconds), statistics.median(seconds), percentile(seconds, 0.99), max(seconds))
        cells.append([f"{count:,}", len(seconds), *map(milliseconds, spread), ", ".join(f"{rate:,.0f}" for rate in rates)])
    heads = ["releases", "pauses", "min", "median", "p99", "max", "polls/s of each replica"]
    return Outcome(rows, ["The last of the three replicas counts.", "", *table(heads, cells)])


def pauses(bench, count):
    """Returns the seconds until every replica shows each pause, and the polls per second of each replica."""
    stream = bench.released_daily(STREAM, count)
    newest = f"{release_path(STREAM, stream['releases'][-1]['version'])}/rollouts/1"
    polled = queries.node_queries(stream | {"releases": stream["releases"][-POLLED_RELEASES:]})
    # The node before the newest one sees its rollout, since it takes part in all of them.
    watched = f"{polled[-2]}&rollout_wariness=0&node_uuid={1:032x}"
    with contextlib.ExitStack() as running:
        name = f"commit-to-poll-{count}"
        servers = [running.enter_context(bench.serve_made_up(name, stream))]
        servers += [running.enter_context(bench.program.serve(servers[0].data_dir)) for _ in range(REPLICAS - 1)]
        manager = running.enter_context(contextlib.closing(Manager(servers[0])))
        watchers = [running.enter_context(contextlib.closing(PollWatcher(server, watched))) for server in servers]
        sides = [bench.side(name, server, polled) for server in servers]
        polling = [running.enter_context(side.polling(LONG, connections=CONNECTIONS, delay=DELAY)) for side in sides]
        before, begun = polls(servers), time.monotonic()
        seconds = [seconds_until_shown(manager, watchers, newest) for _ in range(bench.lengths.pauses)]
        elapsed = time.monotonic() - begun
        rates = [(after - earlier) / elapsed for after, earlier in zip(polls(servers), before, strict=True)]
        if any(process.poll() is not None for process in polling):
            raise Failed("wrk ended")
    return seconds, rates


def polls(servers):
    return [server.metric("lockkeeper_polls_total") for server in servers]


def seconds_until_shown(manager, watchers, rollout):
    """Pauses a rollout and returns when the last replica showed it, and resumes it."""
    sent = time.monotonic()
    shown = after(watchers, lambda: manager.write("POST", f"{rollout}/pause"))
    after(watchers, lambda: manager.write("POST", f"{rollout}/resume"))
    return shown - sent


def after(watchers, change):
    """Makes a change, and returns when the last watcher saw its response change."""
    counts = [len(watcher.changes) for watcher in watchers]
    change()
    wait_until(
        lambda: all(len(watcher.changes) > count for watcher, count in zip(watchers, counts, strict=True)), 60, "the change"
    )
    return max(watcher.changes[count] for watcher, count in zip(watchers, counts, strict=True))


class PollWatcher:
    """Sends the same poll to a server repeatedly, and records when its response changed."""

    EVERY = 0.002

    def __init__(self, server, query):
        self.port, self.target = server.port, f"/v1/graph?{query}"
        self.changes = []
        self.stopping, self.has_begun = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        if not self.has_begun.wait(10):
            raise Failed("the watched poll was not answered")

    def watch(self):
        connection, last = http.client.HTTPConnection(HOST, self.port, timeout=10), None
        # If the server ends, the thread ends, and waiting for a change fails.
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while not self.stopping.wait(self.EVERY):
                connection.request("GET", self.target)
                body = connection.getresponse().read()
                if last is not None and body != last:
                    self.changes.append(time.monotonic())
                last = body
                self.has_begun.set()

    def close(self):
        self.stopping.set()
        self.thread.join()
