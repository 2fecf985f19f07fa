"""Memory used by clients that request a full graph and do not read it."""

import contextlib
import itertools
import os
import resource
import socket
import struct
import time

import documents
import queries
from report import Outcome, Row
from servers import HOST, Failed, ask

PER_ADDRESS = 5000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, END_OF_REQUEST = 1, 4, 5


def slow_readers(bench):
    """Measures memory for several kinds of connections. The targets are for agents, whose connections carry only polls."""
    stream = documents.made_up("slow", bench.lengths.slow_releases, documents.ARCHES[:1], barrier_every=30)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = bench.lengths.slow_readers
    limits = {"limits__max_connections": 2 * count, "limits__connections_per_address": 2 * count}
    settings = {name: str(limit) for name, limit in limits.items()} | {"limits__head_timeout": "10m"}
    rows, raw = [], []
    for way, open_one, target_mib in (("first poll", first, 64), ("second poll", second, 64), ("HTTP/2", over_http2, 320)):
        # A process keeps memory for reuse, so each kind is measured on a new process.
        with bench.serve_made_up(f"slow {way}".replace("/", ""), stream, **settings) as server:
            target = f"/v1/graph?{queries.full_graph_query(stream)}"
            size = len(ask(server.port, target)[2])
            idle, reading, files = measured(server, count, lambda connection: open_one(connection, target))
        what = f"{count:,} clients that do not read their full graph, {way}: memory above idle"
        rows.append(Row(what, target_mib, target_mib, reading - idle, "{:.1f} MiB".format))
        raw.append(f"- {way}: {size:,} bytes a graph, {files:,} files open, {idle:.1f} to {reading:.1f} MiB")
    return Outcome(rows, raw)


def measured(server, count, ask_for):
    """Returns the resident memory before and while `count` clients do not read, and the number of open files."""
    with contextlib.ExitStack() as opened:
        idle = settled(server)
        for number in range(count):
            ask_for(opened.enter_context(contextlib.closing(connect(number, server.port))))
        reading = settled(server)
        files = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    if files < count:
        raise Failed(f"at most {files:,} of {count:,} connections stayed open")
    return idle, reading, files


def settled(server):
    """Returns the resident memory in MiB once it is stable."""
    last = server.memory("VmRSS")
    for _ in itertools.repeat(None, 60):
        time.sleep(1)
        now = server.memory("VmRSS")
        if abs(now - last) < 0.25:
            return now
        last = now
    raise Failed("memory did not become stable")


def connect(number, port):
    """Connects from one of several addresses, since each has about 28,000 ports, with a small receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
    connection.connect((HOST, port))
    return connection


def first(connection, target):
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def second(connection, target):
    connection.sendall(b"GET /v1/graph?stream=none&basearch=x86_64 HTTP/1.1\r\nHost: x\r\n\r\n")
    if not connection.recv(65536).startswith(b"HTTP/1.1 404"):
        raise Failed("the first poll was not answered")
    first(connection, target)


def over_http2(connection, target):
    path = target.encode()
    # HPACK (RFC 7541) with the static table: GET, http, :path with a literal value, :authority x.
    head = bytes([0x82, 0x86, 0x04, len(path)]) + path + bytes([0x01, 1]) + b"x"
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_OF_REQUEST, 1, head))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
