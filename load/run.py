"""Runs the load test: every measurement in turn, then the report. See `--help`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# For the registry, which the check of the documents starts, too.
sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))

import behaviour
import beside
import commits
import comparisons
import cpu
import followed
import history
import products
import scale
import slow
import writes
from bench import FULL, PROJECT, QUICK, Bench
from peers import nginx_program
from report import NotMeasured, Outcome, Report
from servers import Failed, Program

MEASUREMENTS = {
    "keepalive": comparisons.keepalive,
    "close": comparisons.close,
    "full-identity": comparisons.full_identity,
    "full-gzip": comparisons.full_gzip,
    "bytes": comparisons.size,
    "releases": comparisons.releases,
    "rollouts": comparisons.rollouts,
    "telemetry": comparisons.telemetry,
    "followed": followed.followed,
    "cpu": cpu.cpu,
    "https": cpu.https,
    "rebuild": behaviour.rebuild,
    "memory": behaviour.memory,
    "outage": behaviour.outage,
    "lag": behaviour.lag,
    "writes": writes.writes,
    "scale": scale.scale,
    "full-graph-size": scale.full_graph_size,
    "commit-to-poll": commits.commit_to_poll,
    "product-stop": products.product_stop,
    "first-start": products.first_start,
    "history": history.history,
    "slow-readers": slow.slow_readers,
}
# Measurements that need a second build.
BESIDE = {"beside": beside.beside}


def arguments():
    parser = argparse.ArgumentParser(description="Measures lockkeeper; a full run is written to load/REPORT.md.")
    parser.add_argument("--binary", required=True, help="the program, such as target/release/lockkeeper")
    parser.add_argument("--only", choices=MEASUREMENTS, metavar="NAME", help=f"one of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--beside", metavar="BINARY", help="only compare polls with this build")
    parser.add_argument("--quick", action="store_true", help="a short run of about a minute that tests the load test; its figures are meaningless")
    return parser.parse_args()


def end(_signal, _frame):
    # The exception leaves all `with` blocks, which ends all started programs. Further signals must not interrupt that.
    for repeated in (signal.SIGINT, signal.SIGTERM):
        signal.signal(repeated, signal.SIG_IGN)
    raise KeyboardInterrupt


def outcome(name, measure, bench):
    started = time.monotonic()
    print(f"{name} ...", flush=True)
    try:
        found = measure(bench)
    except (Failed, subprocess.SubprocessError, OSError) as error:
        found = Outcome([NotMeasured(name, str(error))])
    for row in found.rows:
        print(f"  {row.line()}", flush=True)
    print(f"  {time.monotonic() - started:.0f} s", flush=True)
    return found


def run(chosen, lengths, program, other, report):
    with tempfile.TemporaryDirectory(prefix="lockkeeper-load.") as folder:
        # PostgreSQL may run as another user, which needs access.
        os.chmod(folder, 0o755)
        bench = Bench(program, Path(folder).resolve(), lengths, other)
        for name in chosen:
            report.add(name, outcome(name, (MEASUREMENTS | BESIDE)[name], bench))
        return report.text(bench.source)


def main():
    options = arguments()
    os.umask(0o022)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    missing = [name for name in ("wrk", "psql", "openssl", "cc") if not shutil.which(name)] + ([] if nginx_program() else ["nginx"])
    if missing:
        return f"missing: {', '.join(missing)}; scripts/install-load-tools.sh installs them"
    report = Report(PROJECT, sys.argv[1:])
    is_full_run = not (options.only or options.quick or options.beside)
    try:
        chosen = BESIDE if options.beside else [options.only] if options.only else MEASUREMENTS
        other = Program(options.beside) if options.beside else None
        text = run(chosen, QUICK if options.quick else FULL, Program(options.binary), other, report)
    except Failed as error:
        return str(error)
    except KeyboardInterrupt:
        return "stopped"
    if is_full_run:
        (PROJECT / "load" / "REPORT.md").write_text(text)
    print(text)
    return 1 if any(row.missed() for row in report.rows()) else 0


if __name__ == "__main__":
    sys.exit(main())
