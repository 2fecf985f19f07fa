"""The report: a table, and the raw figures of every run."""

import datetime
import os
import platform
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from peers import nginx_program


@dataclass(frozen=True)
class Row:
    """A figure with its target and its minimum."""

    what: str
    target: float
    minimum: float
    measured: float
    show: Callable[[float], str] = "{:.2f}".format
    more_is_better: bool = False

    def reaches(self, limit):
        return self.measured >= limit if self.more_is_better else self.measured <= limit

    def missed(self):
        return not self.reaches(self.minimum)

    def verdict(self):
        if self.reaches(self.target):
            return "met"
        if self.reaches(self.minimum):
            return "met minimum"
        by = abs(self.measured - self.minimum) / self.minimum * 100
        return f"missed by {by:,.0f} %" if by >= 1 else f"missed by {by:.1g} %"

    def line(self):
        figures = [self.show(figure) for figure in (self.target, self.minimum, self.measured)]
        return table_line(self.what, *figures, self.verdict())


@dataclass(frozen=True)
class NotMeasured:
    """A measurement that failed, which counts as missed."""

    what: str
    why: str

    def missed(self):
        return True

    def verdict(self):
        return "missed: not measured"

    def line(self):
        return table_line(self.what, "", "", "", self.verdict())


@dataclass
class Outcome:
    """The result of one measurement: its rows, and lines of raw figures in Markdown."""

    rows: list
    raw: list = field(default_factory=list)


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def table_line(*cells):
    return f"| {' | '.join(cells)} |"


def table(heads, rows):
    return [table_line(*heads), table_line(*["---"] * len(heads)), *(table_line(*map(str, row)) for row in rows)]


def pair_table(samples, base, compared):
    """Returns a table of every run of an A/B comparison."""
    heads = ["pair", *(f"{side} {what}" for side in (base, compared) for what in ("polls/s", "p50 ms", "p99 ms"))]
    rows = [
        [number, *(f"{figure:,.2f}" for sample in pair for figure in (sample.per_second, sample.p50, sample.p99))]
        for number, pair in enumerate(samples, 1)
    ]
    return table(heads, rows)


def first_line(command):
    """Returns the first line of a program's output. Some programs print their version on standard error, or fail."""
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return ran.stdout.strip().partition("\n")[0]


def field_of(path, name):
    lines = (line.partition(":") for line in Path(path).read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "unknown")


def machine():
    memory = int(field_of("/proc/meminfo", "MemTotal").split()[0]) / 1024**2
    load = os.getloadavg()[0]
    return (
        f"- Machine: {field_of('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, {memory:.1f} GiB of memory, "
        f"Linux {platform.release()}; load average before the run {load:.2f}"
    )


def commit(project):
    def git(*arguments):
        ran = subprocess.run(["git", "-C", project, *arguments], capture_output=True, text=True, check=False)
        return ran.stdout.strip()

    # The report of a previous run does not affect the program.
    changed = git("status", "--porcelain", "--", ".", ":!load/REPORT.md")
    name = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"- Commit: {name}{', with uncommitted changes' if changed else ''}"


def versions():
    wrk = first_line(["wrk", "-v"]).partition(" [")[0]
    nginx = first_line([nginx_program(), "-v"]).partition(": ")[2]
    return f"- Versions: {nginx}, {wrk}, {first_line(['psql', '--version'])}"


class Report:
    """Collects results. Facts about the machine are read on creation, before it is busy."""

    def __init__(self, project, arguments):
        now = datetime.datetime.now(datetime.UTC)
        self.facts = [f"- Date: {now:%Y-%m-%d %H:%M} UTC", commit(project), machine(), versions()]
        self.command = f"python3 load/run.py {shlex.join(arguments)}"
        self.outcomes = {}

    def add(self, name, outcome):
        self.outcomes[name] = outcome

    def rows(self):
        return [row for outcome in self.outcomes.values() for row in outcome.rows]

    def text(self, source):
        lines = ["# Load test", "", *self.facts, f"- Streams: {source}",
                 "- The service ran with GLIBC_TUNABLES=glibc.malloc.hugetlb=1, as README recommends", "", f"Made by `{self.command}`.", ""]
        lines += table(["measurement", "target", "minimum", "measured", "verdict"], [])
        lines += [row.line() for row in self.rows()]
        lines += ["", "Comparisons are ratios: the median over pairs of runs, made in turns."]
        lines += ["", "## Every run"]
        for name, outcome in self.outcomes.items():
            broken = [row.why for row in outcome.rows if isinstance(row, NotMeasured)]
            lines += ["", f"### {name}", "", *outcome.raw, *broken]
        return "\n".join(lines) + "\n"
