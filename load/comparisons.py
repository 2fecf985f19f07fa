"""Polls a second, and bytes: Lockkeeper beside nginx with a file, and beside itself with less to do."""

import contextlib
import dataclasses
import statistics

import documents
import queries
from measure import CLOSE, GZIP, pairs, ratio
from report import Outcome, Row, pair_table
from servers import Failed, collector, nginx

NODE_VIEW, WHOLE = "node_view", "whole"


def keepalive(bench):
    return node_views_against_nginx(bench, "keepalive", "node views, connections kept")


def close(bench):
    return node_views_against_nginx(bench, "close", "node views, a connection a poll", CLOSE)


def node_views_against_nginx(bench, name, what, *headers):
    with bench.serve_real() as server:
        asked = queries.of_nodes(bench.real.stable)
        for query in (asked[0], asked[-1]):
            queries.check_node_view(server, query)
        bodies = queries.answers(server, asked)
        return against_nginx(bench, server, (name, what, NODE_VIEW), asked, bodies, *headers)


def whole_identity(bench):
    return whole_against_nginx(bench, "whole-identity", "whole graphs as they are", "identity")


def whole_gzip(bench):
    return whole_against_nginx(bench, "whole-gzip", "whole graphs in gzip", "gzip", GZIP)


def whole_against_nginx(bench, name, what, encoding, *headers):
    with bench.serve_real() as server:
        query = queries.of_whole(bench.real.stable)
        queries.check_whole(server, query, bench.real.stable)
        # Nodes stand differently towards the rollouts, and so differ their graphs.
        bodies = queries.answers(server, [query] * 64, encoding)
        return against_nginx(bench, server, (name, what, WHOLE), [query], bodies, *headers)


def against_nginx(bench, server, named, asked, bodies, *headers):
    """The same requests to both; nginx answers with a file as long as our answers are on average."""
    name, what, kind = named
    body = queries.of_mean_size(bodies)
    with nginx(bench.folder / f"nginx-{name}", body, gzipped=body) as port, answered_as(kind, server):
        base, ours = bench.side("nginx", port, asked), bench.side("lockkeeper", server.port, asked)
        samples = pairs(bench.lengths, base, ours, *headers)
    polls, p99 = ratio(samples, "per_second"), ratio(samples, "p99")
    rows = [
        Row(f"{what}: polls/s, to nginx's", 1.0, 0.9, polls, more_is_better=True),
        Row(f"{what}: p99, to nginx's", 1.2, 1.5, p99),
    ]
    return Outcome(rows, [f"{len(body):,} bytes a body.", "", *pair_table(samples, "nginx", "lockkeeper")])


def size(bench):
    with bench.serve_real() as server:
        views = view_sizes(server, queries.of_nodes(bench.real.stable))
        whole = [len(body) for body in queries.answers(server, [queries.of_whole(bench.real.stable)] * 64)]
    share = statistics.mean(views) / statistics.mean(whole)
    row = Row("bytes of a node view, to the whole graph's", 1 / 20, 1 / 20, share, lambda share: f"1/{1 / share:.3g}")
    raw = [f"Node views of {len(views)} payloads: {spread(views)}. Whole graphs: {spread(whole)}."]
    return Outcome([row], raw)


def spread(sizes):
    return f"{min(sizes):,} to {max(sizes):,} bytes, {statistics.mean(sizes):,.0f} on average"


def releases(bench):
    """A node has as many targets in both: the rollouts, or the next barrier, a tenth of the stream ahead."""
    few, many = (stream_to_grow(count) for count in (200, bench.lengths.many_releases))
    what = f"polls/s with {bench.lengths.many_releases:,} releases, to 200"
    return against_itself(bench, ("releases", what), few, many)


def stream_to_grow(count):
    stream = documents.made_up("stable", count, documents.ARCHES[:1], barrier_every=count // 10)
    documents.open_newest(stream, *([documents.rollout(hours_ago=hours)] for hours in (36, 24, 12)))
    return stream


def rollouts(bench):
    """Every node has four releases ahead. Their rollouts have ended, or are open to nearly all: answers are as long."""
    none, live = (documents.made_up("stable", 200, documents.ARCHES[:1]) for _ in range(2))
    documents.open_newest(none, *[[documents.rollout(0.9, hours_ago=100)]] * 4)
    documents.open_newest(live, *(five_rollouts(0.90 + number / 100) for number in range(4)))
    return against_itself(bench, ("rollouts", "polls/s with 20 live rollouts, to none"), none, live)


def five_rollouts(share):
    """Selectors that overlap; the last picks whoever is left."""
    return [
        documents.rollout(share, groups=["canary"], platforms=["aws", "gcp"]),
        documents.rollout(share + 0.01, groups=["canary", "edge"]),
        documents.rollout(share + 0.02, platforms=["gcp", "qemu"]),
        documents.rollout(share + 0.03, groups=["edge", "batch"], platforms=["metal", "aws"]),
        documents.rollout(share + 0.04),
    ]


def telemetry(bench):
    """The same store and the same polls; one service counts them, and tells a collector of everything."""
    asked = queries.of_nodes(bench.real.stable)
    # Connections that are kept make runs differ by a tenth: a bar of three hundredths takes many of them.
    many = dataclasses.replace(bench.lengths, pairs=5 * bench.lengths.pairs, run=max(bench.lengths.run // 2, 1))
    with collector() as told:
        loud = {
            "telemetry__otlp_endpoint": told.url,
            "telemetry__trace_share": "1",
            "telemetry__metrics_interval": "1s",
            "log__access_share": "0.001",
        }
        with (
            bench.serve_real(telemetry__metrics="false") as silent,
            bench.serve_real(**loud) as heard,
            answered_as(NODE_VIEW, heard),
        ):
            view_sizes(silent, asked)
            sides = [bench.side("off", silent.port, asked), bench.side("on", heard.port, asked)]
            samples = pairs(many, *sides)
            closing = pairs(bench.lengths, *sides, CLOSE)
        if "/v1/metrics" not in told.paths or "/v1/logs" not in told.paths:
            raise Failed(f"the collector was told of {sorted(told.paths)} alone")
    rows = [
        Row(f"polls/s with all telemetry on, to off, {how}", 0.97, 0.97, ratio(found, "per_second"), more_is_better=True)
        for how, found in (("connections kept", samples), ("a connection a poll", closing))
    ]
    return Outcome(rows, [*pair_table(samples, "off", "on"), "", *pair_table(closing, "off", "on")])


def against_itself(bench, named, less, more):
    """Node views of two services, one of which has more to do."""
    name, what = named
    with (
        bench.serve_made_up(f"{name}-less", less) as base,
        bench.serve_made_up(f"{name}-more", more) as ours,
        answered_as(NODE_VIEW, base, ours),
    ):
        asked = [queries.of_nodes(stream) for stream in (less, more)]
        sizes = [view_sizes(*one) for one in zip((base, ours), asked, strict=True)]
        sides = [bench.side(*one) for one in zip(("less", "more"), (base.port, ours.port), asked, strict=True)]
        samples = pairs(bench.lengths, *sides)
    row = Row(what, 0.9, 0.9, ratio(samples, "per_second"), more_is_better=True)
    raw = [f"Node views: {spread(sizes[0])}; {spread(sizes[1])}.", "", *pair_table(samples, "less", "more")]
    return Outcome([row], raw)


def view_sizes(server, asked):
    """The lengths of all node views, of which the oldest's and the newest's are looked into."""
    for query in (asked[0], asked[-1]):
        queries.check_node_view(server, query)
    return [len(body) for body in queries.answers(server, asked)]


@contextlib.contextmanager
def answered_as(kind, *servers):
    """Sees to it that all answers meanwhile were of this kind: wrk does not look into them."""

    def others(server):
        return server.metric("lockkeeper_polls_total", without=f'answer="{kind}"')

    before = [others(server) for server in servers]
    yield
    if [others(server) for server in servers] != before:
        raise Failed(f"not all answers were of the kind {kind}")
