"""Holds the documents against the program: every command in them is executed, or named with its reason. `--help` tells how.

All ```sh blocks of a document run in turn, as in one shell, in a copy of the tree. A comment right before a block says otherwise:

    <!-- docs-check: not here, REASON -->  it is not executed, and told with its reason
    <!-- docs-check: by make X -->         CI executes it, through that target
    <!-- docs-check: serves -->            it runs in the background till the end of the document
    <!-- docs-check: fails -->             it has to fail

Commands that want 127.0.0.1:8080 in a document that starts nothing there find a service with the sample streams. The folder `DIR`
has upstream's metadata. What the prose says of make targets, commands, flags, settings and other files has to be so, too.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from docs_check import upstream
from docs_check.documents import PROJECT, Block, Document, Failed
from docs_check.facts import Facts
from docs_check.session import HOST, PORT, Session, stop_postgres

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "helm/lockkeeper/README.md")
# An HTTP error is a failure; commands that say themselves how they take it are left alone, since curl takes no two ways.
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
    parser.add_argument("documents", nargs="*", help=f"which; all of {', '.join(DOCUMENTS)} if absent")
    return parser.parse_args()


def programs(work, binary):
    """A folder with the programs that commands find before all others."""
    folder = work / "bin"
    folder.mkdir()
    curl = shutil.which("curl")
    if not curl or not os.access(binary, os.X_OK):
        raise Failed(f"{binary} or curl is no program")
    # It may be built anew meanwhile.
    shutil.copy(binary, folder / "lockkeeper")
    (folder / "curl").write_text(CURL.format(curl=curl))
    (folder / "curl").chmod(0o755)
    return folder


def copy_tree(facts, tree, target):
    """What is written by hand, with its times, so that cargo sees nothing new; and what was built."""
    for name in facts.files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, tree / name, follow_symlinks=False)
    (tree / "target").symlink_to(target)
    upstream.write(tree / "DIR")


def environment(path, target, temporary, port):
    """Ours without settings, neither the service's nor those of the make that runs us."""
    ours = ("DATABASE_URL", "TEST_DATABASE_URL", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("LOCKKEEPER_")}
    kept |= {"PATH": f"{path}:{os.environ['PATH']}", "CARGO_TARGET_DIR": str(target), "TMPDIR": str(temporary), "EDITOR": "true"}
    return kept if port == PORT else kept | {"LOCKKEEPER_LISTEN": f"{HOST}:{port}"}


def free_port():
    """The documents' own, if nobody has it."""
    for port in (PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return probe.getsockname()[1]
    raise Failed("there is no free port")


def execute(document, facts, work, path):
    """Runs a document's commands: how many blocks."""
    wanted = [block for block in document.blocks if block.kind in ("run", "serves", "fails")]
    if not wanted:
        return 0
    blocks = list(wanted)
    if all(block.kind != "serves" for block in wanted) and any(f"{HOST}:{PORT}" in block.text for block in wanted):
        blocks.insert(0, Block(document.name, 0, "lockkeeper serve --streams-dir ./streams\n", "serves", ""))
    folder = work / document.name.replace("/", "-")
    tree, temporary = folder / "lockkeeper", folder / "tmp"
    tree.mkdir(parents=True)
    temporary.mkdir()
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")).resolve()
    copy_tree(facts, tree, target)
    port = free_port()
    session = Session(folder, tree, environment(path, target, temporary, port), port)
    try:
        for block in blocks:
            print(f"{block.place} ...", flush=True)
            session.run(block)
    finally:
        session.stop()
        stop_postgres(folder)
    return len(wanted)


def check(names, binary):
    """Checks the documents, and says what was checked."""
    patterns = names or DOCUMENTS
    documents = [Document(path) for pattern in patterns for path in sorted(PROJECT.glob(pattern))]
    with tempfile.TemporaryDirectory(prefix="lockkeeper-docs.", ignore_cleanup_errors=True) as folder:
        # PostgreSQL may run as another user, who has to get there.
        os.chmod(folder, 0o755)
        work = Path(folder).resolve()
        path = programs(work, binary)
        facts = Facts(path / "lockkeeper")
        spans = sum(facts.check_span(*span) for document in documents for span in document.spans())
        links = sum(facts.check_link(*link) for document in documents for link in document.links())
        unexecuted = [block for document in documents for block in document.blocks if block.kind in ("not here", "by make")]
        for block in unexecuted:
            facts.check_unexecuted(block)
        executed = sum(execute(document, facts, work, path) for document in documents)
    print(f"documents: {len(documents)}; {executed} blocks of commands ran, {len(unexecuted)} did not")
    for block in unexecuted:
        print(f"  {block.place}: {block.kind}{' ' if block.kind == 'by make' else ', '}{block.reason}")
    print(f"{spans} mentions of commands, targets and settings, and {links} links hold")


def end(_signal, _frame):
    # Blocks are left, and with them everything ends that was started. That takes a moment: nobody may cut it short.
    for impatience in (signal.SIGINT, signal.SIGTERM):
        signal.signal(impatience, signal.SIG_IGN)
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
