"""What nodes ask, and whether the answers to it are right."""

import json
import random
import statistics
import urllib.parse

from documents import GROUPS, PLATFORMS
from servers import Failed, ask

# More than this are sampled: wrk repeats some thousand requests anyway.
MOST_QUERIES = 4096


def of_nodes(document, arch="x86_64"):
    """The query of a node on each payload of an arch, without its id; groups and platforms are dealt out at random."""
    chance = random.Random(document["stream"])
    payloads = [
        (release["version"], payload)
        for release in document["releases"]
        for payload in release.get("payloads", [])
        if payload["arch"] == arch
    ]
    if len(payloads) > MOST_QUERIES:
        payloads = chance.sample(payloads, MOST_QUERIES)
    return [of_node(document, version, payload, chance) for version, payload in payloads]


def of_node(document, version, payload, chance):
    said = {
        "basearch": payload["arch"],
        "stream": document["stream"],
        "group": chance.choice(GROUPS),
        "platform": chance.choice(PLATFORMS),
        "os_version": version,
        "os_checksum": payload["id"],
    }
    return urllib.parse.urlencode(said | ({"oci": "true"} if payload["scheme"] == "oci" else {}))


def of_whole(document, arch="x86_64", scheme="checksum"):
    """The query for the whole graph, as who does not say what it runs asks it."""
    said = {"basearch": arch, "stream": document["stream"], "group": "default"}
    return urllib.parse.urlencode(said | ({"oci": "true"} if scheme == "oci" else {}))


def answers(server, queries, encoding="identity"):
    """The body of the answer to each query, from nodes with different ids."""
    chance = random.Random(1)
    return [answer(server, f"{query}&node_uuid={chance.getrandbits(128):032x}", encoding) for query in queries]


def answer(server, query, encoding):
    status, headers, body = ask(server.port, f"/v1/graph?{query}", {"Accept-Encoding": encoding})
    if status != 200:
        raise Failed(f"/v1/graph?{query} was answered with {status}")
    if headers.get("Content-Encoding", "identity") != encoding:
        raise Failed(f"an answer in {encoding} was asked for and not sent")
    return body


def check_node_view(server, query):
    """The node itself, with the very payload that it sent, and edges out of it alone."""
    graph = json.loads(answers(server, [query])[0])
    sent = urllib.parse.parse_qs(query)["os_checksum"][0]
    own = [index for index, node in enumerate(graph["nodes"]) if node["payload"] == sent]
    starts = {start for start, _ in graph["edges"]}
    if len(own) != 1 or not starts <= set(own) or len(graph["nodes"]) != len(graph["edges"]) + 1:
        raise Failed(f"the answer to {query} is not the node's own view")


def check_whole(server, query, document, arch="x86_64"):
    """All releases of the scope, each once, and edges between them."""
    graph = json.loads(answers(server, [query])[0])
    there = {(node["version"], node["payload"]) for node in graph["nodes"]}
    wanted = {
        (release["version"], payload["id"])
        for release in document["releases"]
        for payload in release.get("payloads", [])
        if payload["arch"] == arch and payload["scheme"] == "checksum"
    }
    if there != wanted or not graph["edges"]:
        raise Failed(f"the answer to {query} is not the whole graph")


def of_mean_size(bodies):
    """A body as long as these are on average: the one that is nearest to it, cut or filled up with blanks."""
    size = round(statistics.mean(map(len, bodies)))
    nearest = min(bodies, key=lambda body: abs(len(body) - size))
    return nearest[:size].ljust(size)
