"""Polls per second while many streams follow repositories of a registry."""

import contextlib
import dataclasses
import os
import signal

import comparisons
import documents
import queries
from comparisons import NODE_VIEW, answered_as, view_sizes
from docker_registry import DockerRegistry
from measure import CLOSE, flawless, ratio
from report import Outcome, Row, pair_table
from servers import wait_until

# A fifth of the default. Since looks that become due during the other service's turns are made afterwards, they are ten times as frequent.
INTERVAL_SECONDS = 60
IMAGES_PER_TURN = 2


def followed(bench):
    """Compares two services with the same streams. One follows the repositories of all but the polled stream, and publishes new images."""
    polled = comparisons.stream_to_grow(200)
    with contextlib.closing(DockerRegistry(bench.folder / "followed-registry")) as source:
        repositories = Repositories(source, bench.lengths.followed)
        settings = {
            "registries__allow": f'["{repositories.host}"]',
            "registries__private": f'["{repositories.host}"]',
            "registries__follow_interval": f"{INTERVAL_SECONDS}s",
        }
        with (
            bench.serve_made_up("followed-not", polled, *repositories.streams(are_followed=False)) as quiet,
            bench.serve_made_up("followed", polled, *repositories.streams(are_followed=True), **settings) as busy,
            answered_as(NODE_VIEW, quiet, busy),
        ):
            asked = queries.node_queries(polled)
            for server in (quiet, busy):
                view_sizes(server, asked)
            sides = [bench.side("not", quiet, asked), bench.side("followed", busy, asked)]
            repositories.wait_for_releases(busy)
            before = looks(busy)
            # As with telemetry, a target of 3 % needs many pairs.
            many = dataclasses.replace(bench.lengths, pairs=5 * bench.lengths.pairs, run=max(bench.lengths.run // 2, 1))
            persistent, closing = (turns(many, *sides, repositories, *headers) for headers in ((), (CLOSE,)))
            looked = looks(busy) - before
            repositories.wait_for_releases(busy)
    rows = [
        Row(
            f"polls/s while {repositories.count} repositories are followed, relative to none, {how}",
            0.97, 0.97, ratio(samples, "per_second"), more_is_better=True,
        )
        for how, samples in (("persistent connections", persistent), ("one connection per poll", closing))
    ]
    raw = [
        f"During the runs: {looked} looks at repositories, and {repositories.pushed - repositories.count} new images, all of which were published. "
        f"CPU of a poll, looks included, relative to none: persistent connections {ratio(persistent, 'cpu'):.2f}, "
        f"one connection per poll {ratio(closing, 'cpu'):.2f}.",
        "", *pair_table(persistent, "not", "followed"), "", *pair_table(closing, "not", "followed"),
    ]
    return Outcome(rows, raw)


def turns(lengths, quiet, busy, repositories, *headers):
    """Runs both sides in turns. The service that follows is suspended while the other one is polled, which its looks would slow down."""
    samples = []
    for _ in range(lengths.pairs):
        with suspended(busy.pid):
            base = flawless(quiet, lengths.run, headers)
        repositories.push_some()
        samples.append((base, flawless(busy, lengths.run, headers)))
    return samples


@contextlib.contextmanager
def suspended(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def looks(server):
    """Returns how many looks were saved so far."""
    [[updated]] = server.query("select n_tup_upd from pg_stat_user_tables where relname = 'follow_states'")
    return int(updated)


class Repositories:
    """Repositories of a registry, with one image each at first."""

    def __init__(self, source, count):
        self.source, self.count, self.pushed = source, count, 0
        self.host = f"127.0.0.1:{source.port}"
        for _ in range(count):
            self.push()

    def push(self):
        """Pushes an image to the next repository."""
        turn, number = divmod(self.pushed, self.count)
        self.source.push(f"acme/os-{number}", f"v{turn}", {"org.opencontainers.image.version": f"1.{turn}.{number}"})
        self.pushed += 1

    def push_some(self):
        for _ in range(IMAGES_PER_TURN):
            self.push()

    def streams(self, are_followed):
        """Returns a stream for each repository."""
        for number in range(self.count):
            name = f"os-{number}"
            stream = {"format": 1, "product": documents.PRODUCT, "stream": name, "arches": list(documents.ARCHES[:1])}
            follow = {"image": f"{self.host}/acme/{name}", "tags": r"^v\d+$", "as": "publish"}
            yield stream | ({"follow": follow} if are_followed else {})

    def wait_for_releases(self, server):
        """Waits until every pushed image is published."""
        def are_published():
            return server.metric("lockkeeper_follow_releases_total", without='outcome="drafted"') == self.pushed

        wait_until(are_published, 10 * INTERVAL_SECONDS, f"{self.pushed} releases of images")
