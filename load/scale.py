"""Writes, imports and full graphs of streams with many releases."""

import contextlib
import itertools
import json
import statistics
import subprocess
import time

import documents
import queries
from manager import CREATED, Manager, release_path
from measure import percentile
from report import Outcome, Row, milliseconds, table
from servers import Failed, ask

STREAM = "stable"
OPERATIONS = ("pause", "resume", "publish", "put document", "dry run of resume", "lint")
# Exit codes of an import that took everything over: 3 says that something needs attention.
IMPORTED = (0, 3)


def scale(bench):
    """Measures writes to streams of several sizes, each with a rollout of every release, and imports into one of them."""
    measured = {count: operations(bench, count) for count in bench.lengths.scale}
    _, small, middle, large, largest = bench.lengths.scale
    imports = import_seconds(bench, middle)
    rows = [
        Row(f"a pause in a stream of {count:,} releases, durable, p99", *bars, percentile(measured[count]["pause"], 0.99), milliseconds)
        for count, bars in ((large, (0.05, 0.08)), (largest, (0.1, 0.15)))
    ]
    for what in ("publish", "put document"):
        medians = [statistics.median(measured[count][what]) for count in (small, large)]
        rows.append(Row(f"{what} with {large:,} releases, relative to {small:,}", 2, 3, medians[1] / medians[0]))
    rows.append(
        Row(f"import of one changed release into {middle:,}, median", 0.3, 0.5, statistics.median(imports), milliseconds)
    )
    heads = ["operation", *(f"{count:,} releases" for count in measured)]
    cells = [[what, *(figures(one[what]) for one in measured.values())] for what in OPERATIONS]
    trimmed = "the two newest" if bench.program.can_trim else "all"
    notes = [
        f"p50 / p99 in milliseconds, and how often; two arches, a rollout of each release, {trimmed} targets shown.",
        "",
        *table(heads, cells),
        "",
        f"Imports into {middle:,} releases: {figures(imports)}; {milliseconds(startup_seconds(bench.program))} of each is starting the program, "
        "which is not counted.",
    ]
    return Outcome(rows, notes)


def figures(seconds):
    return f"{statistics.median(seconds) * 1000:.1f} / {percentile(seconds, 0.99) * 1000:.1f} ({len(seconds)})"


def repeated(lengths, measure):
    """Repeats a measurement, for a limited time, and returns its results. At least three are needed for a median."""
    deadline = time.monotonic() + lengths.scale_seconds
    found = []
    for number in range(lengths.scale_repetitions):
        if len(found) >= 3 and time.monotonic() > deadline:
            break
        found.append(measure(number))
    return found


def operations(bench, count):
    """Returns the seconds of every operation, repeated, in a stream of this size."""
    stream = bench.released_daily(STREAM, count)
    newest = f"{release_path(STREAM, stream['releases'][-1]['version'])}/rollouts/1"
    with bench.serve_made_up(f"scale-{count}", stream) as server, contextlib.closing(Manager(server)) as manager:

        def pause_and_resume(_):
            return manager.write("POST", f"{newest}/pause").seconds, manager.write("POST", f"{newest}/resume").seconds

        def dry_run(_):
            return manager.write("POST", f"{newest}/resume", dry_run="true").seconds

        pauses, resumes = zip(*repeated(bench.lengths, pause_and_resume), strict=True)
        manager.write("POST", f"{newest}/pause")
        dry_runs = repeated(bench.lengths, dry_run)
        manager.write("POST", f"{newest}/resume")
        document = manager.read(f"streams/{STREAM}/document").json()
        puts = repeated(bench.lengths, lambda number: put(manager, document, number))
        lints = repeated(bench.lengths, lambda _: manager.read(f"streams/{STREAM}/lint").seconds)
        publishes = repeated(bench.lengths, lambda number: publish(manager, number))
    return dict(zip(OPERATIONS, (pauses, resumes, publishes, puts, dry_runs, lints), strict=True))


def put(manager, document, number):
    """Puts the document with one changed release."""
    releases = document["releases"]
    changed = releases[len(releases) // 2]
    changed["notes"] = f"put {number}"
    document.pop("revision", None)
    return manager.write("PUT", f"streams/{STREAM}/document", document).seconds


def publish(manager, number):
    """Creates a release with its payloads and a rollout, and publishes it."""
    version = f"41.{number:08}.3.0"
    path = release_path(STREAM, version)
    payloads = documents.release(STREAM, number, documents.ARCHES[:2], documents.SCHEMES[:1])["payloads"]
    for each in payloads:
        each["id"] = documents.payload(STREAM, version, each["arch"], each["scheme"])
    draft = {"version": version, "payloads": payloads}
    return sum(
        answered.seconds
        for answered in (
            manager.write("POST", f"streams/{STREAM}/releases", draft, CREATED),
            manager.write("POST", f"{path}/rollouts", {"duration": "PT48H"}, CREATED),
            manager.write("POST", f"{path}/publish"),
        )
    )


def import_seconds(bench, count):
    """Returns the seconds of imports that change one release, without those that the program needs to start."""
    stream = bench.released_daily("imported", count)
    folder = bench.folder / "import"
    write_upstream(folder, stream, 0)
    command = ["import", "fcos", "--from", folder, "--product", documents.PRODUCT, "--stream", stream["stream"]]
    with bench.serve_made_up("import", bench.released_daily("other", 1)) as server:
        command += ["--data-dir", server.data_dir]

        def import_changed(number):
            write_upstream(folder, stream, number + 1)
            return program_seconds(bench.program, *command) - startup_seconds(bench.program)

        program_seconds(bench.program, *command)
        seconds = repeated(bench.lengths, import_changed)
        if server.revision(stream["stream"]) <= len(seconds):
            raise Failed("not every import changed the stream")
    return seconds


def program_seconds(program, *arguments):
    """Returns the duration of a command."""
    command = [str(program.binary), *map(str, arguments)]
    begun = time.monotonic()
    ran = subprocess.run(command, env=program.environment, capture_output=True, text=True, timeout=600)
    seconds = time.monotonic() - begun
    if ran.returncode not in IMPORTED:
        raise Failed(f"{' '.join(command[1:3])}: {ran.returncode} {ran.stdout[-500:]} {ran.stderr[-500:]}")
    return seconds


def startup_seconds(program):
    return statistics.median(program_seconds(program, "--version") for _ in range(3))


def write_upstream(folder, stream, number):
    """Writes a stream as upstream's metadata. The start share of the newest rollout depends on `number`."""
    releases = [
        {"version": release["version"], "metadata": "", "commits": [
            {"architecture": payload["arch"], "checksum": payload["id"]} for payload in release["payloads"]
        ]}
        for release in stream["releases"]
    ]
    start = int(time.time()) // 86_400 * 86_400
    rollouts = [
        {"version": release["version"], "metadata": {"rollout": {
            "start_epoch": start - 86_400 * age, "start_percentage": 0.0, "duration_minutes": 2880}}}
        for age, release in zip(itertools.count(len(stream["releases"]) - 1, -1), stream["releases"])
    ]
    rollouts[-1]["metadata"]["rollout"]["start_percentage"] = round(number % 90 / 100, 2)
    name = stream["stream"]
    texts = {
        folder / "prod" / "streams" / name / "releases.json": {"stream": name, "releases": releases},
        folder / "updates" / f"{name}.json": {"stream": name, "releases": rollouts},
    }
    for path, content in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def full_graph_size(bench):
    """Measures the bytes of a full graph in which every release has a rollout."""
    count = bench.lengths.graph_releases
    stream = bench.released_daily(STREAM, count)
    with bench.serve_made_up("full-graph-size", stream) as server:
        status, _, body = ask(server.port, f"/v1/graph?{queries.full_graph_query(stream)}", seconds=120)
    if status != 200 or len(json.loads(body)["nodes"]) != count:
        raise Failed(f"the full graph was answered with {status} and {len(body):,} bytes")
    trimmed = "two newest targets" if bench.program.can_trim else "all targets"
    row = Row(f"bytes of the full graph of {count:,} releases with a rollout each, {trimmed}", 1.5e6, 1.5e6, len(body), "{:,.0f}".format)
    return Outcome([row], [f"{len(json.loads(body)['edges']):,} edges."])
