"""Products with many streams: the first start, memory, and an emergency stop."""

import contextlib
import itertools
import time

import queries
from manager import Manager, release_path
from report import Outcome, Row, milliseconds, table
from servers import Failed, ask
from slow import settled

RELEASES_PER_STREAM = 100


def product_stop(bench):
    """Stops a product with many streams, and lifts the stop, which pauses the live rollouts; they are resumed before the next stop."""
    streams = made_up_streams(bench, bench.lengths.product_streams, RELEASES_PER_STREAM)
    rounds = []
    with bench.serve_made_up("product-stop", *streams) as server, contextlib.closing(Manager(server)) as manager:
        for number in range(bench.lengths.stop_rounds):
            if number:
                resume_all(manager, streams)
            stop = manager.write("POST", "emergency-stop")
            lift = manager.write("DELETE", "emergency-stop")
            rounds.append((stop.seconds, len(stop.body), lift.seconds, len(lift.body)))
    stops, sizes, lifts, _ = (max(figures) for figures in zip(*rounds, strict=True))
    what = f"a product of {len(streams)} streams with {RELEASES_PER_STREAM} releases each"
    rows = [
        Row(f"stopping {what}, slowest", 0.3, 0.6, stops, milliseconds),
        Row(f"stopping {what}: bytes of the answer", 50_000, 50_000, sizes, "{:,.0f}".format),
        Row(f"lifting the stop of {what}, slowest", 3, 3, lifts, milliseconds),
    ]
    heads = ["round", "stop", "bytes", "lift", "bytes"]
    cells = [[number, milliseconds(a), f"{b:,}", milliseconds(c), f"{d:,}"] for number, (a, b, c, d) in enumerate(rounds, 1)]
    return Outcome(rows, table(heads, cells))


def made_up_streams(bench, count, releases):
    return [bench.released_daily(f"stream-{number}", releases) for number in range(count)]


def resume_all(manager, streams):
    for stream in streams:
        manager.write("POST", f"{release_path(stream['stream'], stream['releases'][-1]['version'])}/rollouts/1/resume")


def first_start(bench):
    """Measures the first start, which reads many stream documents into an empty database, and the memory of the service."""
    count, releases = bench.lengths.first_streams, bench.lengths.first_releases
    streams = made_up_streams(bench, count, releases)
    empty_seconds, empty = started(bench, "first-start-empty", [], memory_after_polls)
    seconds, (resident, peak) = started(bench, "first-start", streams, memory_after_polls)
    pairs = count * releases * len(streams[0]["arches"])
    what = f"{count:,} streams of {releases} releases on two arches"
    rows = [
        Row(f"first start with {what}, until all are served", 10, 15, seconds, "{:.1f} s".format),
        Row(f"resident memory with {what}, every scope polled, then idle", 120, 160, resident, "{:.1f} MiB".format),
    ]
    raw = [
        f"Without any stream: started in {empty_seconds:.1f} s, {empty[0]:.1f} MiB. With them: {resident:.1f} MiB, {peak:.1f} at peak; "
        f"{(resident - empty[0]) * 2**20 / pairs:,.0f} bytes more per release and arch, for {pairs:,} of these.",
    ]
    return Outcome(rows, raw)


def started(bench, name, streams, measure):
    """Starts a service with these documents for the first time. Returns how long it took until all were served, and a measurement."""
    folder = bench.streams_folder(name, streams)
    begun = time.monotonic()
    with bench.program.serve(bench.data_dir(name), streams_dir=folder) as server:
        seconds = time.monotonic() - begun
        if len(server.revisions()) != len(streams):
            raise Failed(f"{len(server.revisions())} of {len(streams)} streams were served when the service was ready")
        return seconds, measure(server, streams)


def memory_after_polls(server, streams):
    """Returns the resident memory and its peak after a node view and a full graph of every scope were polled."""
    for stream, arch in itertools.chain.from_iterable(itertools.product([stream], stream["arches"]) for stream in streams):
        middle = {"releases": stream["releases"][len(stream["releases"]) // 2 :][:1], "stream": stream["stream"]}
        for query in (queries.node_queries(middle, arch)[0], queries.full_graph_query(stream, arch)):
            status, _, _ = ask(server.port, f"/v1/graph?{query}&node_uuid={1:032x}")
            if status != 200:
                raise Failed(f"{query} was answered with {status}")
    return settled(server), server.memory("VmHWM")
