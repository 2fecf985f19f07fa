"""The duration of writes over HTTP, from the request to the durable response."""

import statistics

from manager import Manager, release_path
from measure import percentile
from report import Outcome, Row, milliseconds

# Seconds.
TARGET = 0.05


def writes(bench):
    """Pauses and resumes a rollout of the real stable stream, and changes the notes of its release, repeatedly."""
    with bench.serve_real() as server:
        manager = Manager(server)
        release = release_path("stable", bench.real.stable["releases"][-1]["version"])
        seconds = []
        for number in range(bench.lengths.writes):
            for method, path, body in (
                ("POST", f"{release}/rollouts/1/pause", None),
                ("PATCH", release, {"notes": f"write {number}"}),
                ("POST", f"{release}/rollouts/1/resume", None),
            ):
                seconds.append(manager.write(method, path, body).seconds)
        releases, size = len(bench.real.stable["releases"]), len(manager.read("streams/stable/document").body)
    what = f"a write over HTTP to a stream of {releases} releases, durable, p99"
    row = Row(what, TARGET, TARGET, percentile(seconds, 0.99), milliseconds)
    figures = ", ".join(
        f"{name} {milliseconds(figure)}"
        for name, figure in (("median", statistics.median(seconds)), ("max", max(seconds)))
    )
    return Outcome([row], [f"{len(seconds)} writes, each storing a document of {size:,} bytes: {figures}."])
