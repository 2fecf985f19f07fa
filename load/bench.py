"""Shared by all measurements: durations, and the databases that are polled."""

import contextlib
import functools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import documents
from measure import Side

PROJECT = Path(__file__).resolve().parent.parent
REAL = "Fedora CoreOS's metadata, with live rollouts of the three newest stable releases"
SAMPLES = "those of streams/, with live rollouts, since the real metadata is not next to the project"


@dataclass(frozen=True)
class Lengths:
    """Durations in seconds, and counts."""

    pairs: int
    run: int
    warm_up: int
    many_releases: int
    # Streams that follow repositories.
    followed: int
    memory: int
    outage: int
    kills: int
    rebuilds: int
    notified_changes: int
    polled_changes: int
    writes: int
    slow_readers: int
    slow_releases: int
    # Releases of the streams whose writes are measured: five sizes.
    scale: tuple
    scale_repetitions: int
    scale_seconds: int
    stop_rounds: int
    pauses: int
    product_streams: int
    first_streams: int
    first_releases: int
    revisions: int
    history_seconds: int
    graph_releases: int


FULL = Lengths(
    pairs=5,
    run=4,
    warm_up=1,
    many_releases=20_000,
    followed=100,
    memory=5,
    outage=60,
    kills=10,
    rebuilds=25,
    notified_changes=40,
    polled_changes=16,
    writes=200,
    slow_readers=10_000,
    slow_releases=3_000,
    scale=(100, 300, 1_000, 3_000, 10_000),
    scale_repetitions=100,
    scale_seconds=12,
    stop_rounds=5,
    pauses=30,
    product_streams=50,
    first_streams=500,
    first_releases=100,
    revisions=10_000,
    history_seconds=270,
    graph_releases=3_000,
)
QUICK = Lengths(
    pairs=1,
    run=1,
    warm_up=0,
    many_releases=2_000,
    followed=3,
    memory=1,
    outage=5,
    kills=1,
    rebuilds=3,
    notified_changes=3,
    polled_changes=2,
    writes=3,
    slow_readers=200,
    slow_releases=300,
    scale=(10, 20, 30, 40, 50),
    scale_repetitions=3,
    scale_seconds=1,
    stop_rounds=1,
    pauses=3,
    product_streams=5,
    first_streams=5,
    first_releases=20,
    revisions=100,
    history_seconds=30,
    graph_releases=100,
)


class Real(NamedTuple):
    """A database with the real streams, and the document of the stable one."""

    data_dir: Path
    stable: dict


class Bench:
    """A temporary folder, and the servers in it."""

    def __init__(self, program, folder, lengths, other=None):
        self.program, self.folder, self.lengths, self.other = program, folder, lengths, other
        fixtures = Path(os.environ.get("LOCKKEEPER_FIXTURES", PROJECT.parent / "shared" / "fixtures")) / "fcos"
        self.fixtures = fixtures if fixtures.is_dir() else None
        self.source = REAL if self.fixtures else SAMPLES

    @functools.cached_property
    def real(self):
        """The real data, created once. The three newest releases of the stable stream have live rollouts."""
        data_dir = self.data_dir("real")
        with self.program.serve(data_dir, streams_dir=None if self.fixtures else PROJECT / "streams") as server:
            if self.fixtures:
                self.program.run("import", "fcos", "--from", self.upstream(), "--data-dir", data_dir)
            document = server.show("stable")
            documents.open_newest(document, *([documents.rollout(hours_ago=hours)] for hours in (36, 24, 12)))
            server.put(document)
        return Real(data_dir, document)

    def for_other_build(self):
        """Returns a bench for the other build, whose databases may have another schema."""
        folder = self.folder / "other"
        folder.mkdir()
        return Bench(self.other, folder, self.lengths)

    def released_daily(self, stream, count):
        return documents.released_daily(stream, count, self.program.can_trim)

    def serve_real(self, **settings):
        """Starts a service with the real data."""
        return self.program.serve(self.real.data_dir, **settings)

    @contextlib.contextmanager
    def serve_made_up(self, name, *streams, **settings):
        """Starts a service with these documents."""
        folder = self.streams_folder(name, streams)
        with self.program.serve(self.data_dir(name), streams_dir=folder, **settings) as server:
            yield server

    def streams_folder(self, name, streams):
        """Writes documents for the first start of a service, and returns their folder."""
        folder = self.folder / f"{name}-streams" / documents.PRODUCT
        folder.mkdir(parents=True)
        for stream in streams:
            (folder / f"{stream['stream']}.toml").write_text(documents.text(stream))
        return folder.parent

    def side(self, name, server, queries, **more):
        """Returns a server with its file of queries."""
        path = self.folder / f"{name}-{server.port}.queries"
        path.write_text("".join(f"{query}\n" for query in queries))
        return Side(name, server.port, path, server.pid, **more)

    def data_dir(self, name):
        path = self.folder / f"{name}-data"
        path.mkdir(exist_ok=True)
        return path

    def upstream(self):
        """Copies the fixtures into the layout of upstream's metadata."""
        folder = self.folder / "upstream"
        for kind in ("updates", "streams", "release-notes"):
            shutil.copytree(self.fixtures / kind, folder / kind, dirs_exist_ok=True)
        for index in (self.fixtures / "releases").glob("*.json"):
            target = folder / "prod" / "streams" / index.stem
            target.mkdir(parents=True)
            shutil.copy(index, target / "releases.json")
        return folder
