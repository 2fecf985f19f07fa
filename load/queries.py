"""Queries of nodes, and checks of the responses."""

import json
import random
import statistics
import time
import urllib.parse

from documents import GROUPS, PLATFORMS
from servers import Failed, ask

# Larger sets are sampled: wrk repeats a few thousand requests anyway.
MAX_QUERIES = 4096


def node_queries(document, arch="x86_64"):
    """Returns the query of a node on each payload of an arch, without its id, with random groups and platforms."""
    chance = random.Random(document["stream"])
    payloads = [
        (release["version"], payload)
        for release in document["releases"]
        for payload in release.get("payloads", [])
        if payload["arch"] == arch
    ]
    if len(payloads) > MAX_QUERIES:
        payloads = chance.sample(payloads, MAX_QUERIES)
    return [node_query(document, version, payload, chance) for version, payload in payloads]


def node_query(document, version, payload, chance):
    parameters = {
        "basearch": payload["arch"],
        "stream": document["stream"],
        "group": chance.choice(GROUPS),
        "platform": chance.choice(PLATFORMS),
        "os_version": version,
        "os_checksum": payload["id"],
    }
    return urllib.parse.urlencode(parameters | ({"oci": "true"} if payload["scheme"] == "oci" else {}))


def full_graph_query(document, arch="x86_64", scheme="checksum"):
    """Returns the query for the full graph, of a client that does not report its payload."""
    parameters = {"basearch": arch, "stream": document["stream"], "group": "default"}
    return urllib.parse.urlencode(parameters | ({"oci": "true"} if scheme == "oci" else {}))


def answers(server, queries, encoding="identity"):
    """Returns the body of the response to each query, for nodes with different ids."""
    chance = random.Random(1)
    return [answer(server, f"{query}&node_uuid={chance.getrandbits(128):032x}", encoding) for query in queries]


def answer(server, query, encoding):
    """The body of an answer in this encoding, which is made in the background once it is asked for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status, headers, body = ask(server.port, f"/v1/graph?{query}", {"Accept-Encoding": encoding})
        if status != 200:
            raise Failed(f"/v1/graph?{query} was answered with {status}")
        if headers.get("Content-Encoding", "identity") == encoding:
            return body
        time.sleep(0.01)
    raise Failed(f"an answer in {encoding} was asked for and not sent")


def check_node_view(server, query):
    """Checks that a response contains the node with its payload, and only edges from it."""
    graph = json.loads(answers(server, [query])[0])
    sent = urllib.parse.parse_qs(query)["os_checksum"][0]
    own = [index for index, node in enumerate(graph["nodes"]) if node["payload"] == sent]
    starts = {start for start, _ in graph["edges"]}
    if len(own) != 1 or not starts <= set(own) or len(graph["nodes"]) != len(graph["edges"]) + 1:
        raise Failed(f"the response to {query} is not the node view")


def check_full_graph(server, query, document, arch="x86_64"):
    """Checks that a response contains all releases of the scope, and edges."""
    graph = json.loads(answers(server, [query])[0])
    present = {(node["version"], node["payload"]) for node in graph["nodes"]}
    wanted = {
        (release["version"], payload["id"])
        for release in document["releases"]
        for payload in release.get("payloads", [])
        if payload["arch"] == arch and payload["scheme"] == "checksum"
    }
    if present != wanted or not graph["edges"]:
        raise Failed(f"the response to {query} is not the full graph")


def body_of_mean_size(bodies):
    """Returns a body of the mean length of these: the one with the nearest length, truncated or padded with spaces."""
    size = round(statistics.mean(map(len, bodies)))
    nearest = min(bodies, key=lambda body: abs(len(body) - size))
    return nearest[:size].ljust(size)
