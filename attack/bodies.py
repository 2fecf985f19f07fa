"""Bodies that are large, wide, deep or slow, and extreme values."""

import json
import socket

from service import REASON, at_once, check

DOCUMENT = "/api/v1/products/os/streams/s3/document"


def large_documents(service, admin, scale):
    viewer, manager = service.token("viewer", "os/s4"), service.token("manager", "os/s3")
    empty = '{"format":1,"product":"os","stream":"s3","arches":[' + '"",' * 5_000_000 + '""]}'
    headers = {"content-type": "application/json", "if-match": "*"}
    for token, expected in [(None, {401}), (viewer, {403}), (manager, {413})]:
        for response in at_once(4 * scale, lambda _: service.ask("PUT", f"{DOCUMENT}?{REASON}", token, empty, headers)):
            # A server that refuses before it has read the body may close the connection while the client still sends.
            if isinstance(response, OSError):
                continue
            check(response.status in expected | {503}, f"{response.status}: {response.text[:200]}")
            check(len(response.text) < 20_000, f"a response of {len(response.text)} bytes")
    many = '{"format":1,"product":"os","stream":"s3","arches":[' + '"",' * 300_000 + '""]}'
    response = service.ask("PUT", f"{DOCUMENT}?{REASON}", manager, many, headers)
    check(response.status == 422 and len(json.loads(response.text)["errors"]) == 50, response.text[:300])


def wide_rollouts(service, admin, scale):
    publisher, manager = service.token("publisher", "os/*"), service.token("manager", "os/*")
    created = service.write("POST", "s3/releases", publisher, {"version": "wide", "payloads": []})
    check(created.status in (201, 409), created.text)
    labels = lambda name, count: [f"{name}{number}" for number in range(count)]
    wide = {"selector": {"groups": labels("g", 1200), "platforms": labels("p", 1200)}, "preset": "linear-48h"}
    for query in ["", "&dry_run=true"]:
        for response in at_once(4 * scale, lambda _: service.write("POST", "s3/releases/wide/rollouts", manager, wide, query)):
            check(getattr(response, "status", 422) == 422, getattr(response, "text", response))
    # A draft with the maximum number of the widest rollouts: computing its impact must not delay a stop.
    widest = {"selector": {"groups": labels("g", 64), "platforms": labels("p", 64)}, "preset": "linear-48h"}
    for _ in range(7 * scale):
        response = service.write("POST", "s3/releases/wide/rollouts", manager, widest, "&acknowledge=true")
        check(response.status in (201, 422), response.text)

    def ask(number):
        if number == 0:
            return service.write("POST", "s3/emergency-stop", admin)
        if number == 1:
            return service.write("POST", "s3/releases/wide/publish", manager, None, "&acknowledge=true")
        return service.write("POST", "s3/releases/wide/publish", publisher, None, "&dry_run=true")

    stopped, *others = at_once(4 * scale + 2, ask)
    check(getattr(stopped, "status", None) == 200, f"the stop of a stream with wide rollouts: {getattr(stopped, 'text', stopped)}")
    for response in others:
        check(getattr(response, "status", 409) < 500 or response.status == 503, getattr(response, "text", response))
    service.write("DELETE", "s3/emergency-stop", admin, query="&acknowledge=true")


def extremes(service, admin, _):
    """Extreme numbers, times, names and depths: refused, and never answered with a 5xx."""
    manager = service.token("manager", "os/*")
    deep = "[" * 100_000 + "]" * 100_000
    raw = {"content-type": "application/json", "if-match": "*"}
    bodies = [deep, "1e999", '{"start_share": 1e400}', '{"start_share": -0.0000001}', '{"start_share": NaN}', '{"duration": "P99999999999Y"}',
              '{"start": "+275760-09-13T00:00:00Z"}', '{"start": "-9999-01-01T00:00:00Z"}', '{"duration": "PT99999999999999999999M"}',
              '{"steps": [' + '{"after":"PT1M","share":0.1},' * 5000 + '{"after":"PT1M","share":0.1}]}', '{"preset": "\\u0000"}', "\ufeff{}", '{"a":1}{"b":2}']
    for body in bodies:
        response = service.ask("POST", f"/api/v1/products/os/streams/s3/releases/1.9/rollouts?{REASON}", manager, body.encode(), raw)
        check(400 <= response.status < 500, f"{body[:60]!r}: {response.status} {response.text[:200]}")
    for query in ["limit=99999999999999999999", "cursor=%00", "revision=-9223372036854775808", "at=99999-01-01T00:00:00Z", "wariness=1e308",
                  "arch=" + "a" * 7000, "arch=%ff%fe", "node=" + "%00" * 500, "reason=" * 500]:
        for path in ["releases", "graph", "explain", "revisions", "document"]:
            response = service.ask("GET", f"/api/v1/products/os/streams/s3/{path}?{query}", manager)
            check(response.status < 500, f"{path}?{query[:40]}: {response.status}")
    for path in ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "/v1/graph/", "/%00", "/" + "a/" * 4000, "/api/v1/products/%2e%2e",
                 "/os/v1/graph?stream=s1&basearch=" + "x" * 7000, "/os/v1/graph?" + "&".join(["stream=s1"] * 500)]:
        response = service.ask("GET", path)
        check(400 <= response.status < 500, f"{path[:60]}: {response.status}")


def slow_bodies(service, admin, scale):
    """Publishers who announce bodies and send only their first byte."""
    publisher = service.token("publisher", "os/*")
    head = (f"POST /api/v1/products/os/streams/s3/releases?{REASON} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {publisher}\r\n"
            "content-type: application/json\r\ncontent-length: 60000\r\n\r\n").encode()
    held = []
    for _ in range(30 * scale):
        connection = socket.create_connection(("127.0.0.1", service.port))
        connection.sendall(head + b"{")
        held.append(connection)
    response = service.write("POST", "s3/releases", service.token("publisher", "os/*", name="other"), {"version": "in time"})
    check(response.status in (201, 409, 422), f"slow bodies delay other requests: {response.status} {response.text[:200]}")
    for connection in held:
        connection.close()


ATTACKS = [large_documents, wide_rollouts, extremes, slow_bodies]
