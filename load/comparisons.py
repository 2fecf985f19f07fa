"""Polls per second and bytes: Lockkeeper compared with nginx serving a file, and with itself under less load."""

import contextlib
import dataclasses
import statistics

import documents
import queries
from measure import CLOSE, GZIP, pairs, ratio
from peers import collector, nginx
from report import Outcome, Row, pair_table
from servers import Failed

NODE_VIEW, FULL_GRAPH = "node_view", "full_graph"


def keepalive(bench):
    return node_views_against_nginx(bench, "keepalive", "node views, persistent connections")


def close(bench):
    return node_views_against_nginx(bench, "close", "node views, one connection per poll", CLOSE)


def node_views_against_nginx(bench, name, what, *headers):
    with bench.serve_real() as server:
        asked = queries.node_queries(bench.real.stable)
        for query in (asked[0], asked[-1]):
            queries.check_node_view(server, query)
        bodies = queries.answers(server, asked)
        return against_nginx(bench, server, (name, what, NODE_VIEW), asked, bodies, *headers)


def full_identity(bench):
    return full_graphs_against_nginx(bench, "full-identity", "full graphs, uncompressed", "identity")


def full_gzip(bench):
    return full_graphs_against_nginx(bench, "full-gzip", "full graphs in gzip", "gzip", GZIP)


def full_graphs_against_nginx(bench, name, what, encoding, *headers):
    with bench.serve_real() as server:
        query = queries.full_graph_query(bench.real.stable)
        queries.check_full_graph(server, query, bench.real.stable)
        # Nodes differ in visibility, and so do their graphs.
        bodies = queries.answers(server, [query] * 64, encoding)
        return against_nginx(bench, server, (name, what, FULL_GRAPH), [query], bodies, *headers)


def against_nginx(bench, server, named, asked, bodies, *headers):
    """Sends the same requests to both. nginx serves a file of the mean size of Lockkeeper's responses."""
    name, what, kind = named
    body = queries.body_of_mean_size(bodies)
    with nginx(bench.folder / f"nginx-{name}", body, gzipped=body) as peer, answered_as(kind, server):
        base, compared = bench.side("nginx", peer, asked), bench.side("lockkeeper", server, asked)
        samples = pairs(bench.lengths, base, compared, *headers)
    polls, p99 = ratio(samples, "per_second"), ratio(samples, "p99")
    rows = [
        Row(f"{what}: polls/s, relative to nginx", 1.0, 0.9, polls, more_is_better=True),
        Row(f"{what}: p99, relative to nginx", 1.2, 1.5, p99),
    ]
    return Outcome(rows, [f"{len(body):,} bytes per body.", "", *pair_table(samples, "nginx", "lockkeeper")])


def size(bench):
    with bench.serve_real() as server:
        views = view_sizes(server, queries.node_queries(bench.real.stable))
        full = [len(body) for body in queries.answers(server, [queries.full_graph_query(bench.real.stable)] * 64)]
    share = statistics.mean(views) / statistics.mean(full)
    row = Row("bytes of a node view, relative to the full graph", 1 / 20, 1 / 20, share, lambda share: f"1/{1 / share:.3g}")
    raw = [f"Node views of {len(views)} payloads: {spread(views)}. Full graphs: {spread(full)}."]
    return Outcome([row], raw)


def spread(sizes):
    return f"{min(sizes):,} to {max(sizes):,} bytes, {statistics.mean(sizes):,.0f} on average"


def releases(bench):
    """Compares streams in which a node has equally many targets: the rollouts, or the next barrier, a tenth of the stream ahead."""
    few, many = (stream_to_grow(count) for count in (200, bench.lengths.many_releases))
    what = f"polls/s with {bench.lengths.many_releases:,} releases, relative to 200"
    return against_itself(bench, ("releases", what), few, many)


def stream_to_grow(count):
    stream = documents.made_up("stable", count, documents.ARCHES[:1], barrier_every=count // 10)
    documents.open_newest(stream, *([documents.rollout(hours_ago=hours)] for hours in (36, 24, 12)))
    return stream


def rollouts(bench):
    """Compares four completed rollouts with live ones that are open to nearly all nodes: responses have the same length."""
    none = documents.made_up("stable", 200, documents.ARCHES[:1])
    documents.open_newest(none, *[[documents.rollout(0.9, hours_ago=100)]] * 4)
    named = ("rollouts", "polls/s with 20 live rollouts, relative to none")
    return against_itself(bench, named, none, stream_with_live_rollouts())


def stream_with_live_rollouts():
    live = documents.made_up("stable", 200, documents.ARCHES[:1])
    documents.open_newest(live, *(five_rollouts(0.90 + number / 100) for number in range(4)))
    return live


def five_rollouts(share):
    """Returns rollouts with overlapping selectors; the last one matches all remaining nodes."""
    return [
        documents.rollout(share, groups=["canary"], platforms=["aws", "gcp"]),
        documents.rollout(share + 0.01, groups=["canary", "edge"]),
        documents.rollout(share + 0.02, platforms=["gcp", "qemu"]),
        documents.rollout(share + 0.03, groups=["edge", "batch"], platforms=["metal", "aws"]),
        documents.rollout(share + 0.04),
    ]


def telemetry(bench):
    """Compares two services with the same data and polls, one of which sends telemetry to a collector."""
    asked = queries.node_queries(bench.real.stable)
    # With persistent connections runs differ by 10 %, so a target of 3 % needs many runs.
    many = dataclasses.replace(bench.lengths, pairs=5 * bench.lengths.pairs, run=max(bench.lengths.run // 2, 1))
    with collector() as receiver:
        with (
            bench.serve_real(telemetry__metrics="false") as silent,
            bench.serve_real(**all_telemetry(receiver.url)) as loud,
            answered_as(NODE_VIEW, loud),
        ):
            view_sizes(silent, asked)
            sides = [bench.side("off", silent, asked), bench.side("on", loud, asked)]
            samples = pairs(many, *sides)
            closing = pairs(bench.lengths, *sides, CLOSE)
        if "/v1/metrics" not in receiver.paths or "/v1/logs" not in receiver.paths:
            raise Failed(f"the collector received only {sorted(receiver.paths)}")
    rows = [
        Row(f"polls/s with all telemetry, relative to none, {how}", 0.97, 0.97, ratio(found, "per_second"), more_is_better=True)
        for how, found in (("persistent connections", samples), ("one connection per poll", closing))
    ]
    return Outcome(rows, [*pair_table(samples, "off", "on"), "", *pair_table(closing, "off", "on")])


def all_telemetry(url):
    """Returns settings for metrics, traces and logs, sent to a collector."""
    return {
        "telemetry__otlp_endpoint": url,
        "telemetry__trace_share": "1",
        "telemetry__metrics_interval": "1s",
        "log__access_share": "0.001",
    }


def against_itself(bench, named, less, more):
    """Compares node views of two services, one of which has more work."""
    name, what = named
    with (
        bench.serve_made_up(f"{name}-less", less) as base,
        bench.serve_made_up(f"{name}-more", more) as loaded,
        answered_as(NODE_VIEW, base, loaded),
    ):
        asked = [queries.node_queries(stream) for stream in (less, more)]
        sizes = [view_sizes(*one) for one in zip((base, loaded), asked, strict=True)]
        sides = [bench.side(*one) for one in zip(("less", "more"), (base, loaded), asked, strict=True)]
        samples = pairs(bench.lengths, *sides)
    row = Row(what, 0.9, 0.9, ratio(samples, "per_second"), more_is_better=True)
    raw = [f"Node views: {spread(sizes[0])}; {spread(sizes[1])}.", "", *pair_table(samples, "less", "more")]
    return Outcome([row], raw)


def view_sizes(server, asked):
    """Returns the lengths of all node views, and verifies those of the oldest and the newest release."""
    for query in (asked[0], asked[-1]):
        queries.check_node_view(server, query)
    return [len(body) for body in queries.answers(server, asked)]


@contextlib.contextmanager
def answered_as(kind, *servers):
    """Checks that all responses in the block were of this kind, since wrk does not inspect them."""

    def others(server):
        return server.metric("lockkeeper_polls_total", without=f'answer="{kind}"')

    before = [others(server) for server in servers]
    yield
    if [others(server) for server in servers] != before:
        raise Failed(f"not all responses were of the kind {kind}")
