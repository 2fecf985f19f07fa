"""CPU time of a poll: Lockkeeper compared with nginx and with a bare event loop, over HTTP and over HTTPS."""

import re
import socket

import queries
from comparisons import NODE_VIEW, answered_as
from measure import CLOSE, CONNECTIONS, ratio, turns
from peers import bare_loop, certificate, compiled, nginx
from report import Outcome, Row, table
from servers import HOST, Failed

KEPT, NEW = "persistent connections", "one connection per poll"


def cpu(bench):
    """Measures the CPU time of node views. The bare loop sends the same bytes as Lockkeeper, head and body."""
    program = compiled("bare_loop.c", bench.folder, "-pthread")
    with bench.serve_real() as server:
        asked = queries.node_queries(bench.real.stable)
        body = queries.body_of_mean_size(queries.answers(server, asked))
        samples = {}
        with nginx(bench.folder / "nginx-cpu", body) as peer, answered_as(NODE_VIEW, server):
            for how, headers in ((NEW, [CLOSE]), (KEPT, [])):
                head = response_head(server.port, asked[0], len(body), headers)
                with bare_loop(program, bench.folder / f"bare-loop-{len(samples)}", head + body) as bare:
                    named = (("bare loop", bare), ("nginx", peer), ("lockkeeper", server))
                    sides = [bench.side(name, one, asked) for name, one in named]
                    samples[how] = turns(bench.lengths, sides, *headers)
    rows = [
        Row(f"CPU of a poll, {how}, relative to a bare event loop", *bars, ratio(last_to(0, samples[how]), "cpu"))
        for how, bars in ((NEW, (1.3, 1.5)), (KEPT, (1.6, 1.9)))
    ]
    return Outcome(rows, [f"{len(body):,} bytes per body.", *tables(samples, sides)])


def response_head(port, query, length, headers):
    """Returns the head of a response of Lockkeeper, with another length of its body."""
    lines = [f"GET /v1/graph?{query} HTTP/1.1", "Host: x", "Accept: application/json", *headers, "", ""]
    with socket.create_connection((HOST, port), 10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
    head = received.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % length, head)


def https(bench):
    """Measures node views over TLS 1.3 with full handshakes. wrk's latency begins when a request is sent, after the handshake."""
    files, preload = certificate(bench.folder), compiled("no_resumption.c", bench.folder, "-shared", "-fPIC", "-ldl")
    with bench.serve_real() as plain:
        asked = queries.node_queries(bench.real.stable)
        body = queries.body_of_mean_size(queries.answers(plain, asked))
    with (
        bench.serve_real(tls__certificate=str(files.chain), tls__key=str(files.key)) as server,
        nginx(bench.folder / "nginx-https", body, certificate=files) as peer,
        answered_as(NODE_VIEW, server),
    ):
        named = (("nginx", peer), ("lockkeeper", server))
        sides = [bench.side(name, one, asked, scheme="https", preload=preload) for name, one in named]
        samples = {how: turns(bench.lengths, sides, *headers) for how, headers in ((NEW, [CLOSE]), (KEPT, []))}
    for how, found in samples.items():
        check_handshakes(how, found)
    row = Row(f"CPU of a poll over HTTPS, {NEW}, relative to nginx", 0.5, 0.6, ratio(samples[NEW], "cpu"))
    return Outcome([row], [f"{len(body):,} bytes per body.", *tables(samples, sides)])


def check_handshakes(how, samples):
    """Checks that no session was resumed, and that there was one handshake per poll, or per connection."""
    for sample in (sample for turn in samples for sample in turn):
        low, high = (sample.polls, sample.polls + 2 * CONNECTIONS) if how == NEW else (1, CONNECTIONS)
        if sample.resumed or not low <= sample.handshakes <= high:
            counts = f"{sample.handshakes} handshakes, {sample.resumed} of them resumed or older than TLS 1.3"
            raise Failed(f"{how}: {sample.polls} polls with {counts}")


def last_to(base, samples):
    """Returns pairs of one side of each turn and the last."""
    return [(turn[base], turn[-1]) for turn in samples]


def tables(samples, sides):
    """Returns a table of every run for each kind of connections."""
    lines = []
    for how, found in samples.items():
        heads = ["turn", *(f"{side.name} {what}" for side in sides for what in ("µs CPU", "polls/s", "p99 ms"))]
        rows = [
            [number, *(f"{figure:,.2f}" for one in turn for figure in (one.cpu, one.per_second, one.p99))]
            for number, turn in enumerate(found, 1)
        ]
        medians = [f"{side.name} {ratio(last_to(index, found), 'cpu'):.2f}" for index, side in enumerate(sides[:-1])]
        lines += ["", f"{how[0].upper()}{how[1:]}; CPU of {sides[-1].name} relative to {', '.join(medians)}:", "", *table(heads, rows)]
    return lines
