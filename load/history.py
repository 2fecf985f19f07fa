"""The history of a stream: what it needs in the database, and how long reading an old state takes."""

import contextlib
import random
import statistics
import time

from manager import Manager, release_path
from measure import percentile
from report import Outcome, Row, milliseconds
from servers import Failed

STREAM = "stable"
RELEASES = 300
REVISIONS = 10_000
READS = 200


def history(bench):
    """Creates revisions by pausing and resuming a rollout, for a limited time. If there are fewer, extrapolates their size."""
    count = 0
    stream = bench.released_daily(STREAM, RELEASES)
    newest = f"{release_path(STREAM, stream['releases'][-1]['version'])}/rollouts/1"
    with bench.serve_made_up("history", stream) as server, contextlib.closing(Manager(server)) as manager:
        empty, begun = bytes_of_revisions(server), time.monotonic()
        while count < bench.lengths.revisions and time.monotonic() - begun < bench.lengths.history_seconds:
            manager.write("POST", f"{newest}/pause")
            manager.write("POST", f"{newest}/resume")
            count += 2
        seconds = time.monotonic() - begun
        used, last = bytes_of_revisions(server), server.revision(STREAM)
        if last < count:
            raise Failed(f"{last:,} revisions instead of {count:,}")
        reads = [read(manager, revision) for revision in random.Random(1).choices(range(1, last + 1), k=min(READS, count))]
    size = used if count >= REVISIONS else empty + (used - empty) * REVISIONS / count
    how = "" if count >= REVISIONS else f", EXTRAPOLATED from {count:,}"
    rows = [
        Row(f"table of {REVISIONS:,} revisions of {RELEASES} releases, with indexes{how}", 200, 200, size / 1e6, "{:.1f} MB".format),
        Row(f"reading the document of any of {last:,} revisions, p99", 0.05, 0.05, percentile(reads, 0.99), milliseconds),
    ]
    raw = [
        f"{count:,} changes in {seconds:.0f} s, {used / 1e6:.1f} MB, {(used - empty) / count:,.0f} bytes per revision.",
        f"{len(reads)} documents read: median {milliseconds(statistics.median(reads))}, max {milliseconds(max(reads))}.",
    ]
    return Outcome(rows, raw)


def bytes_of_revisions(server):
    """Returns the bytes of the table with its indexes and the large values that are stored apart from it."""
    return int(server.query("select pg_total_relation_size('revisions')")[0][0])


def read(manager, revision):
    """Reads the document of a revision, and returns the seconds."""
    answered = manager.read(f"streams/{STREAM}/document", revision=revision)
    if len(answered.json()["releases"]) != RELEASES:
        raise Failed(f"revision {revision} is incomplete")
    return answered.seconds
