"""Idle and slow connections, and request smuggling."""

import socket
import time

from service import check

POLL = "/os/v1/graph?stream=s1&basearch=x86_64&oci=true&rollout_wariness=0.5"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"attacker"


def connect(service, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", service.port), timeout=20, source_address=(source, 0))


def held_open(service, first, count, again=None, seconds=2):
    """Opens connections, sends `first` on each, and repeats `again` while they are held open."""
    held = []
    try:
        for _ in range(count):
            try:
                connection = connect(service)
                connection.sendall(first)
                held.append(connection)
            except OSError:
                pass
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for connection in held if again else []:
                try:
                    connection.sendall(again)
                except OSError:
                    pass
            time.sleep(0.2)
    finally:
        for connection in held:
            connection.close()


def idle_http2(service, admin, scale):
    held_open(service, PREFACE, 60 * scale, PING, 2 * scale)


def slow_heads(service, admin, scale):
    held_open(service, b"GET /v1/graph HTTP/1.1\r\nhost: x\r\n", 60 * scale, b"x-a: b\r\n", 2 * scale)
    held_open(service, b"", 60 * scale, None, 2)


def slow_readers(service, admin, scale):
    request = f"GET {POLL} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    held_open(service, request * 20, 60 * scale, None, 2 * scale)


def statuses(service, raw, is_half_closed=True):
    """Returns the statuses of all responses to these bytes until the server closes the connection."""
    connection = connect(service)
    received = b""
    try:
        connection.sendall(raw)
        if is_half_closed:
            connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65536):
            received += chunk
    except OSError:
        pass
    finally:
        connection.close()
    return [response.split(b" ", 2)[0] for response in received.split(b"HTTP/1.1 ")[1:]]


def smuggling(service, admin, _):
    """Requests whose length two servers could interpret differently: refused, and the bytes after them are not answered."""
    behind = f"GET {POLL} HTTP/1.1\r\nhost: x\r\n\r\n"
    post = "POST /api/v1/products HTTP/1.1\r\nhost: x\r\n"
    for what, request in {
        "both lengths": f"{post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": f"{post}content-length: 0\r\ncontent-length: {len(behind)}\r\n\r\n",
        "a signed length": f"{post}content-length: +0\r\n\r\n",
        "a list of lengths": f"{post}content-length: 0, {len(behind)}\r\n\r\n",
        "a length of letters": f"{post}content-length: x\r\n\r\n",
        "an unknown coding": f"{post}transfer-encoding: xchunked\r\n\r\n",
        "a space before the colon": f"{post}content-length : 0\r\n\r\n",
        "a chunk of nonsense": f"{post}transfer-encoding: chunked\r\n\r\nzz\r\n",
        "a folded header": f"{post}x: a\r\n b\r\ncontent-length: x\r\n\r\n",
        "two hosts": f"GET {POLL} HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
        "no host": f"GET {POLL} HTTP/1.1\r\nconnection: close\r\n\r\n",
        "no version": "GET /\r\n\r\n",
        "an old preface": "PRI * HTTP/1.1\r\n\r\n",
    }.items():
        received = statuses(service, (request + behind).encode())
        check(b"200" not in received and len(received) <= 1, f"{what}: {received}")
        check(not any(status.startswith(b"5") for status in received), f"{what}: {received}")
    # Unambiguous requests are answered.
    last = behind.replace("host: x", "host: x\r\nconnection: close")
    received = statuses(service, (behind + last).encode(), is_half_closed=False)
    check(received == [b"200", b"200"], f"two polls on one connection: {received}")


ATTACKS = [idle_http2, slow_heads, slow_readers, smuggling]
