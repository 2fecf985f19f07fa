"""Checks the docs against the program: executes every command in them, or reports why it does not. `--help` describes the usage.

All ```sh blocks of a document run in turn, in one shell, in a copy of the tree. A comment right before a block changes that:

    <!-- docs-check: not here, REASON -->  it is not executed; the reason is reported
    <!-- docs-check: by make X -->         CI executes it through that target
    <!-- docs-check: serves -->            it runs in the background until the end of the document
    <!-- docs-check: fails -->             it must fail
    <!-- docs-check: output -->            before a ```text block: what the block before it printed; `...` matches anything

If a document uses localhost:5000, a container registry with an image is started for it. If it uses 127.0.0.1:8080 or `lockkeeper` and starts no service, one with the sample streams is started for it; every document has a
tree, a service and a database of its own. The folder `DIR` has upstream's metadata. Make targets, commands, flags, settings, metrics,
alerts, operations of the API and files that the prose mentions must exist, too. The reference must describe every setting, metric
and command, and every page must be reachable from README.md.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from docs_check import registry, upstream
from docs_check.documents import PROJECT, Block, Document, Failed
from docs_check.facts import Facts
from docs_check.session import HOST, PORT, Session, stop_postgres

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "streams/README.md", "docs/**/*.md", "helm/lockkeeper/README.md")
# Only its links are checked: what it mentions may have been removed since.
HISTORY = ("CHANGELOG.md",)
# Commands that need a service, or a database with streams.
SERVED = re.compile(rf"{re.escape(f'{HOST}:{PORT}')}|^ *lockkeeper ", re.M)
# Makes HTTP errors fail, unless a command has its own --fail option, since curl accepts only one.
CURL = """\
#!/usr/bin/env bash
for argument; do
    if [[ $argument =~ ^(--fail.*|-[sSLkgiv]*f[sSLkgiv]*)$ ]]; then exec {curl} "$@"; fi
done
exec {curl} --fail-with-body --silent --show-error --max-time 120 "$@"
"""


def arguments():
    epilog = __doc__.partition("\n\n")[2]
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", required=True, help="the program, such as target/debug/lockkeeper")
    parser.add_argument("documents", nargs="*", help=f"the documents; default: all of {', '.join(DOCUMENTS)} if absent")
    return parser.parse_args()


def programs(work, binary):
    """Creates a folder of programs that comes first in PATH."""
    folder = work / "bin"
    folder.mkdir()
    curl = shutil.which("curl")
    if not curl or not os.access(binary, os.X_OK):
        raise Failed(f"{binary} or curl is not executable")
    # A copy, since a build may replace it.
    shutil.copy(binary, folder / "lockkeeper")
    (folder / "curl").write_text(CURL.format(curl=curl))
    (folder / "curl").chmod(0o755)
    return folder


def copy_tree(facts, tree, target):
    """Copies the source files with their times, so that cargo rebuilds nothing, and links the build output."""
    for name in facts.files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, tree / name, follow_symlinks=False)
    (tree / "target").symlink_to(target)
    upstream.write(tree / "DIR")


def environment(path, target, temporary, port):
    """Returns the current environment without settings of the service or of make."""
    removed = ("DATABASE_URL", "TEST_DATABASE_URL", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    environ = {name: value for name, value in os.environ.items() if name not in removed and not name.startswith("LOCKKEEPER_")}
    environ |= {"PATH": f"{path}:{os.environ['PATH']}", "CARGO_TARGET_DIR": str(target), "TMPDIR": str(temporary), "EDITOR": "true"}
    return environ if port == PORT else environ | {"LOCKKEEPER_LISTEN": f"{HOST}:{port}"}


def free_port():
    """Returns the documents' port if it is free, or another one."""
    for port in (PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return probe.getsockname()[1]
    raise Failed("there is no free port")


def execute(document, facts, work, path):
    """Runs a document's commands, and returns the number of blocks."""
    wanted = [block for block in document.blocks if block.kind in ("run", "serves", "fails", "output")]
    if not wanted:
        return 0
    blocks = list(wanted)
    if all(block.kind != "serves" for block in wanted) and any(SERVED.search(block.text) for block in wanted):
        blocks.insert(0, Block(document.name, 0, "lockkeeper serve --streams-dir ./streams\n", "serves", ""))
    folder = work / document.name.replace("/", "-")
    tree, temporary = folder / "lockkeeper", folder / "tmp"
    tree.mkdir(parents=True)
    temporary.mkdir()
    printed = subprocess.run([PROJECT / "scripts/cargo-path.sh", "target-dir"], check=True, capture_output=True, text=True)
    target = Path(printed.stdout.strip()).resolve()
    copy_tree(facts, tree, target)
    port = free_port()
    with contextlib.ExitStack() as stack:
        replaced = {}
        if any(registry.ADDRESS in block.text for block in wanted):
            started = registry.started(folder)
            stack.callback(started.close)
            replaced[registry.ADDRESS] = f"localhost:{started.port}"
        session = Session(folder, tree, environment(path, target, temporary, port), port, replaced)
        stack.callback(stop_postgres, folder)
        stack.callback(session.stop)
        for block in blocks:
            print(f"{block.place} ...", flush=True)
            session.run(block)
    return len(wanted)


def check(names, binary):
    """Checks the documents, and prints a summary."""
    patterns = names or DOCUMENTS
    documents = [Document(path) for pattern in patterns for path in sorted(PROJECT.glob(pattern))]
    with tempfile.TemporaryDirectory(prefix="lockkeeper-docs.", ignore_cleanup_errors=True) as folder:
        # PostgreSQL may run as another user, which needs access.
        os.chmod(folder, 0o755)
        work = Path(folder).resolve()
        path = programs(work, binary)
        facts = Facts(path / "lockkeeper")
        spans = sum(facts.check_span(*span) for document in documents for span in document.spans())
        history = [] if names else [Document(PROJECT / name) for name in HISTORY]
        links = sum(facts.check_link(*link) for document in documents + history for link in document.links())
        if not names:
            facts.check_complete(documents)
        unexecuted = [block for document in documents for block in document.blocks if block.kind in ("not here", "by make")]
        for block in unexecuted:
            facts.check_unexecuted(block)
        executed = sum(execute(document, facts, work, path) for document in documents)
    print(f"documents: {len(documents)}; {executed} blocks of commands ran, {len(unexecuted)} did not")
    for block in unexecuted:
        print(f"  {block.place}: {block.kind}{' ' if block.kind == 'by make' else ', '}{block.reason}")
    print(f"{spans} mentions of commands, targets and settings, and {links} links are valid")


def end(_signal, _frame):
    # The exception leaves all `with` blocks, which ends all started programs. Further signals must not interrupt that.
    for repeated in (signal.SIGINT, signal.SIGTERM):
        signal.signal(repeated, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    options = arguments()
    os.umask(0o022)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        check(options.documents, Path(options.binary).resolve())
    except (Failed, subprocess.SubprocessError, OSError) as error:
        return str(error)
    except KeyboardInterrupt:
        return "stopped"
    return 0


if __name__ == "__main__":
    sys.exit(main())
