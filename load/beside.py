"""Compares this build with another one, wherever the report compares polls."""

import contextlib
import dataclasses

import comparisons
import queries
from comparisons import FULL_GRAPH, NODE_VIEW
from measure import CLOSE, GZIP, pairs, ratio
from peers import collector
from report import Outcome, Row, table

IDENTITY = "Accept-Encoding: identity"


def beside(bench):
    """Runs both builds in turns, each with its own database from the same documents."""
    builds = (bench.for_other_build(), bench)
    # As with telemetry, a target of 3 % needs many pairs.
    lengths = dataclasses.replace(bench.lengths, pairs=5 * bench.lengths.pairs, run=max(bench.lengths.run // 2, 1))
    stable = bench.real.stable
    nodes, full = queries.node_queries(stable), [queries.full_graph_query(stable)]
    rows, raw = [], []

    def compare(servers, what, kind, asked, *headers):
        if kind == FULL_GRAPH:
            for server in servers:
                queries.answers(server, asked * 64, "gzip" if GZIP in headers else "identity")
        sides = [bench.side(name, server, asked) for name, server in zip(("other", "this"), servers, strict=True)]
        with comparisons.answered_as(kind, *servers):
            samples = pairs(lengths, *sides, *headers)
        rows.extend(rows_of(what, samples))
        raw.extend(["", f"{what}:", "", *pair_table(samples)])

    with serving(*(build.serve_real() for build in builds)) as servers:
        compare(servers, "node views, persistent connections", NODE_VIEW, nodes)
        compare(servers, "node views, one connection per poll", NODE_VIEW, nodes, CLOSE)
        compare(servers, "full graphs, uncompressed", FULL_GRAPH, full, IDENTITY)
        compare(servers, "full graphs in gzip", FULL_GRAPH, full, GZIP)
    with collector() as receiver:
        settings = comparisons.all_telemetry(receiver.url)
        with serving(*(build.serve_real(**settings) for build in builds)) as servers:
            compare(servers, "all telemetry, persistent connections", NODE_VIEW, nodes)
            compare(servers, "all telemetry, one connection per poll", NODE_VIEW, nodes, CLOSE)
    for what, stream in (
        (f"{bench.lengths.many_releases:,} releases", comparisons.stream_to_grow(bench.lengths.many_releases)),
        ("20 live rollouts", comparisons.stream_with_live_rollouts()),
    ):
        name = f"beside-{what.replace(' ', '-').replace(',', '')}"
        with serving(*(build.serve_made_up(name, stream) for build in builds)) as servers:
            compare(servers, what, NODE_VIEW, queries.node_queries(stream))
    return Outcome(rows, raw)


@contextlib.contextmanager
def serving(*services):
    with contextlib.ExitStack() as running:
        yield [running.enter_context(service) for service in services]


def rows_of(what, samples):
    return [
        Row(f"{what}: {name}, relative to the other build", *bars, ratio(samples, figure), more_is_better=figure == "per_second")
        for name, figure, bars in (
            ("polls/s", "per_second", (0.97, 0.97)),
            # The 99th percentile of a run varies by more than the target.
            ("p99", "p99", (1.03, 1.2)),
            ("CPU of a poll", "cpu", (1.03, 1.03)),
        )
    ]


def pair_table(samples):
    """Returns a table of every pair of runs."""
    heads = ["pair", *(f"{side} {what}" for side in ("other", "this") for what in ("polls/s", "p99 ms", "µs CPU"))]
    rows = [
        [number, *(f"{figure:,.2f}" for one in pair for figure in (one.per_second, one.p99, one.cpu))]
        for number, pair in enumerate(samples, 1)
    ]
    return table(heads, rows)
