"""Runs the load test: every measurement in turn, then the report. `--help` tells how."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import behaviour
import comparisons
import writes
from bench import FULL, PROJECT, QUICK, Bench
from report import NotMeasured, Outcome, Report
from servers import Failed, Program, nginx_program

MEASUREMENTS = {
    "keepalive": comparisons.keepalive,
    "close": comparisons.close,
    "whole-identity": comparisons.whole_identity,
    "whole-gzip": comparisons.whole_gzip,
    "bytes": comparisons.size,
    "releases": comparisons.releases,
    "rollouts": comparisons.rollouts,
    "telemetry": comparisons.telemetry,
    "rebuild": behaviour.rebuild,
    "memory": behaviour.memory,
    "outage": behaviour.outage,
    "lag": behaviour.lag,
    "writes": writes.writes,
}


def arguments():
    parser = argparse.ArgumentParser(description="Measures lockkeeper; a whole run is written to load/REPORT.md.")
    parser.add_argument("--binary", required=True, help="the program, such as target/release/lockkeeper")
    parser.add_argument("--only", choices=MEASUREMENTS, metavar="NAME", help=f"one of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="all of it in a minute: tries the test, measures nothing")
    return parser.parse_args()


def end(_signal, _frame):
    # Blocks are left, and with them everything ends that was started. That takes a moment: nobody may cut it short.
    for impatience in (signal.SIGINT, signal.SIGTERM):
        signal.signal(impatience, signal.SIG_IGN)
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


def run(chosen, lengths, program, report):
    with tempfile.TemporaryDirectory(prefix="lockkeeper-load.") as folder:
        # PostgreSQL may run as another user, who has to get there.
        os.chmod(folder, 0o755)
        bench = Bench(program, Path(folder).resolve(), lengths)
        for name in chosen:
            report.add(name, outcome(name, MEASUREMENTS[name], bench))
        return report.text(bench.source)


def main():
    options = arguments()
    os.umask(0o022)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    missing = [name for name in ("wrk", "psql") if not shutil.which(name)] + ([] if nginx_program() else ["nginx"])
    if missing:
        return f"missing: {', '.join(missing)}; scripts/install-load-tools.sh installs them"
    report = Report(PROJECT, sys.argv[1:])
    is_whole = not (options.only or options.quick)
    try:
        chosen = [options.only] if options.only else MEASUREMENTS
        text = run(chosen, QUICK if options.quick else FULL, Program(options.binary), report)
    except Failed as error:
        return str(error)
    except KeyboardInterrupt:
        return "stopped"
    if is_whole:
        (PROJECT / "load" / "REPORT.md").write_text(text)
    print(text)
    return 1 if any(row.missed() for row in report.rows()) else 0


if __name__ == "__main__":
    sys.exit(main())
