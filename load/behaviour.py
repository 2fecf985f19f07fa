"""Measurements other than polls: processing changes, memory, and outages of the database."""

import contextlib
import itertools
import os
import random
import signal
import statistics
import time

import documents
import queries
from measure import CLOSE, GZIP, Sample, percentile, watching
from report import Outcome, Row, milliseconds, table
from servers import Failed, wait_until

RELEASES = 300
# Seconds; for a run of wrk that is ended by a signal.
LONG = 3600


def change(server, document):
    """Creates a revision by changing the start share of the newest release's rollout."""
    rollout = document["releases"][-1]["rollouts"][0]
    rollout["start_share"] = round((rollout["start_share"] + 0.01) % 0.5, 2)
    server.put(document)


def rebuild(bench):
    stream = documents.made_up("stable", RELEASES, barrier_every=30)
    documents.open_newest(stream, [documents.rollout()])
    with bench.serve_made_up("rebuild", stream) as server:
        document = server.show("stable")
        before = rebuilds(server)
        for _ in range(bench.lengths.rebuilds):
            change(server, document)
            server.wait_for("stable", document["revision"])
        seconds, count = (after - earlier for after, earlier in zip(rebuilds(server), before, strict=True))
    if count < bench.lengths.rebuilds:
        raise Failed(f"{bench.lengths.rebuilds} changes caused only {count:.0f} rebuilds")
    row = Row(f"a change of {RELEASES} releases on 4 arches: mean rebuild", 0.05, 0.05, seconds / count, milliseconds)
    return Outcome([row], [f"{count:.0f} rebuilds took {milliseconds(seconds)}."])


def rebuilds(server):
    """Returns the total duration and the number of rebuilds."""
    return [server.metric(f"lockkeeper_catalog_rebuild_duration_seconds_{part}") for part in ("sum", "count")]


def memory(bench):
    streams = [documents.made_up(f"stream-{number}", RELEASES, barrier_every=30) for number in range(10)]
    for stream in streams:
        documents.open_newest(stream, [documents.rollout(hours_ago=24)], [documents.rollout(hours_ago=12)])
    with bench.serve_made_up("memory", *streams) as server:
        idle = server.memory("VmRSS")
        side = bench.side("memory", server, queries_of_all_scopes(streams))
        samples = [side.poll(bench.lengths.memory, *headers) for headers in ([], [GZIP])]
        polled, peak = server.memory("VmRSS"), server.memory("VmHWM")
    if any(sample.rejected or sample.broken for sample in samples):
        raise Failed("polls failed")
    what = f"resident memory: 10 streams of {RELEASES} releases on 4 arches and 2 schemes, 20 live rollouts, polled"
    row = Row(what, 100, 100, polled, "{:.1f} MiB".format)
    polls = sum(sample.polls for sample in samples)
    return Outcome([row], [f"{idle:.1f} MiB before the first poll, {polled:.1f} after {polls:,}, {peak:.1f} at peak."])


def queries_of_all_scopes(streams):
    """Returns node view queries of all scopes, and enough full graph queries of each scope to reach every visibility."""
    scopes = list(itertools.product(streams, documents.ARCHES))
    nodes = [query for stream, arch in scopes for query in queries.node_queries(stream, arch)]
    full_graphs = [queries.full_graph_query(*scope, scheme) for scope in scopes for scheme in documents.SCHEMES]
    return random.Random(1).sample(nodes, queries.MAX_QUERIES) + full_graphs * 8


def outage(bench):
    """Checks whether any poll fails. Few connections are enough, since the rate does not matter."""
    seconds, kills = bench.lengths.outage, bench.lengths.kills
    with bench.serve_real() as server:
        side = bench.side("outage", server, queries.node_queries(bench.real.stable))
        with side.polling(LONG, connections=4) as persistent, side.polling(LONG, CLOSE, connections=4) as fresh:
            down = kill_postgres(server, kills, seconds / (kills + 1))
            samples = [ended(process) for process in (persistent, fresh)]
        delay = seconds_until_a_change_is_served(server)
    failed, polls = (sum(count(sample) for sample in samples) for count in (failures, lambda sample: sample.polls))
    what = f"polls answered while PostgreSQL is killed {kills} times"
    row = Row(what, 1.0, 1.0, 1 - failed / polls, lambda share: f"{share:.5%}", more_is_better=True)
    heads = ["connections", "polls", "rejected", "broken", "p99 ms"]
    rows = [
        [name, f"{sample.polls:,}", sample.rejected, sample.broken, f"{sample.p99:.2f}"]
        for name, sample in zip(("persistent", "one per poll"), samples, strict=True)
    ]
    notes = [
        f"PostgreSQL was down for {', '.join(f'{seconds:.1f}' for seconds in down)} s.",
        f"A later change was served after {milliseconds(delay)}.",
    ]
    return Outcome([row], [*table(heads, rows), "", *notes])


def kill_postgres(server, times, every):
    """Kills PostgreSQL at regular intervals, but only while it runs. Returns how many seconds it was down each time."""
    down, begun = [], time.monotonic()
    for number in range(1, times + 1):
        time.sleep(max(0.0, begun + number * every - time.monotonic()))
        os.kill(server.postmaster(), signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: not server.postmaster(), 5, "the end of PostgreSQL")
        wait_until(server.postmaster, 20, "the return of PostgreSQL")
        down.append(time.monotonic() - killed)
    time.sleep(max(0.0, begun + (times + 1) * every - time.monotonic()))
    return down


def ended(wrk):
    """Stops a run of wrk, and returns its sample."""
    wrk.send_signal(signal.SIGINT)
    return Sample.read(wrk)


def seconds_until_a_change_is_served(server):
    document = server.show("stable")
    change(server, document)
    put = time.monotonic()
    server.wait_for("stable", document["revision"])
    return time.monotonic() - put


def failures(sample):
    return sample.rejected + sample.broken


def lag(bench):
    notified = lags(bench, bench.lengths.notified_changes, 0.1)
    polled = lags(bench, bench.lengths.polled_changes, 1.0, catalog__notifications="false")
    what = "from a change until three processes serve it, p99"
    rows = [
        Row(f"{what}, with notifications", 0.1, 0.1, percentile(notified, 0.99), milliseconds),
        Row(f"{what}, polling every second", 2.0, 2.0, percentile(polled, 0.99), milliseconds),
    ]
    return Outcome(rows, [lag_line("With notifications", notified), "", lag_line("Polling every second", polled)])


def lags(bench, changes, max_pause, **settings):
    """Returns the seconds from each revision's `made_at`, shortly before its commit, until each of three processes serves it."""
    chance = random.Random(1)
    with contextlib.ExitStack() as running:
        servers = [running.enter_context(bench.serve_real(**settings)) for _ in range(3)]
        document = servers[0].show("stable")
        first = document["revision"] + 1
        with watching(servers, "stable") as watchers:
            for _ in range(changes):
                # A process that polls every second has just polled: without a pause, all changes would follow right after.
                time.sleep(chance.uniform(0, max_pause))
                change(servers[0], document)
                wait_for_all(watchers, document["revision"])
        made = made_at(servers[0], first)
    return [watcher.seen_at(revision) - at for revision, at in made.items() for watcher in watchers]


def wait_for_all(watchers, revision):
    wait_until(lambda: all(watcher.seen_at(revision) for watcher in watchers), 30, f"revision {revision}")


def made_at(server, first):
    rows = server.query(
        "select number, extract(epoch from made_at) from revisions join streams on streams.id = stream_id "
        f"where name = 'stable' and number >= {first}"
    )
    return {int(number): float(epoch) for number, epoch in rows}


def lag_line(name, seconds):
    figures = {"median": statistics.median(seconds), "p99": percentile(seconds, 0.99), "max": max(seconds)}
    text = ", ".join(f"{what} {milliseconds(figure)}" for what, figure in figures.items())
    return f"{name}: {len(seconds)} times; min {milliseconds(min(seconds))}, {text}."
