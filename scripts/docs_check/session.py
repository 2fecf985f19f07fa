"""Runs the commands of a document in a shell, as a reader would."""

import contextlib
import http.client
import os
import re
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path

from .documents import Failed

HOST, PORT = "127.0.0.1", 8080
# A command may build the program first.
MAX_SECONDS_TO_RUN = 600
MAX_SECONDS_TO_STOP = 60
SHOWN_OUTPUT = 2500


class Session:
    """One bash, in which the blocks of a document run in turn."""

    def __init__(self, work, tree, environment, port, replaced):
        self.work, self.port, self.log, self.printed = work, port, None, None
        # Addresses in commands, and where what they stand for is instead.
        self.replaced = replaced
        self.process = subprocess.Popen(
            ["bash", "-euo", "pipefail"],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.trap = work / "failed"
        at_fault = shlex.quote(str(self.trap))
        self.send(f"""trap 'printf "%s %s" "$LINENO" "$BASH_COMMAND" >{at_fault}' ERR""")

    def send(self, command):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{command}\n".encode())

    def receive(self, block, output, seconds):
        """Returns a number that bash prints; None if bash ended."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise self.failure(block, f"not done within {seconds} s", output)
        line = self.process.stdout.readline()
        return int(line) if line else None

    def compare(self, block):
        """Compares what the block before printed with what the document shows: `...` matches anything, white space does not count."""
        first, *others = "".join(block.text.split()).split("...")
        printed = "".join(self.printed.read_text(errors="replace").split())
        matches, end = printed.startswith(first) and (bool(others) or printed == first), len(first)
        for index, part in enumerate(others):
            at = len(printed) - len(part) if index == len(others) - 1 and printed.endswith(part) else printed.find(part, end)
            matches, end = matches and at >= end, at + len(part)
        if not (matches and end == len(printed)):
            raise self.failure(block, "is not what the commands before it printed", self.printed)

    def run(self, block):
        if block.kind == "output":
            self.compare(block)
            return
        output = self.printed = self.work / f"output-{block.line}"
        # Line numbers are those of the document, for error messages.
        script = self.work / Path(block.document).name
        text = re.sub(rf"(127\.0\.0\.1|localhost):{PORT}\b", self.address, block.text)
        for address, actual in self.replaced.items():
            text = text.replace(address, actual)
        script.write_text("\n" * (block.line - 1) + text)
        self.trap.unlink(missing_ok=True)
        source = f". {shlex.quote(str(script))}"
        to = f"</dev/null >{shlex.quote(str(output))} 2>&1"
        if block.kind == "serves":
            named = re.search(r"--listen[ =][\w.]*:(\d+)", block.text)
            port = int(named[1]) if named and int(named[1]) != PORT else self.port
            if is_ready(port):
                raise Failed(f"{block.place}: another service answers at {HOST}:{port}")
            self.log = output
            self.send(f"({source}) {to} & echo $!")
            self.wait_until_ready(block, self.receive(block, output, MAX_SECONDS_TO_RUN), port)
        elif block.kind == "fails":
            self.send(f"set +e; (set -e; {source}) {to}; echo $?; set -e")
            if self.receive(block, output, MAX_SECONDS_TO_RUN) == 0:
                raise self.failure(block, "must fail, but succeeded", output)
        else:
            self.send(f"{source} {to}; echo 0")
            if self.receive(block, output, MAX_SECONDS_TO_RUN) is None:
                raise self.failure(block, "failed", output)

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def wait_until_ready(self, block, pid, port):
        deadline = time.monotonic() + MAX_SECONDS_TO_RUN
        while not is_ready(port):
            if time.monotonic() > deadline:
                raise self.failure(block, f"is not ready within {MAX_SECONDS_TO_RUN} s", self.log)
            if pid is None or not is_alive(pid):
                raise self.failure(block, "ended instead of serving", self.log)
            time.sleep(0.1)

    def failure(self, block, what, output):
        line, command = block.line, block.text.strip()
        if self.trap.exists():
            at, _, failed = self.trap.read_text().partition(" ")
            if 0 <= int(at) - line < len(block.text.splitlines()):
                line, command = int(at), failed
        text = f"{block.document}:{line}: {what}\n\n{command}\n\n{output.read_text(errors='replace')[-SHOWN_OUTPUT:]}"
        if self.log and self.log != output:
            text += f"\nThe service's last output:\n{self.log.read_text(errors='replace')[-SHOWN_OUTPUT:]}"
        return Failed(text)

    def stop(self):
        """Ends all processes that were started."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, end)
            if wait_until(lambda: self.process.poll() is not None and not is_group_alive(self.process.pid)):
                return


def stop_postgres(folder):
    """Stops the PostgreSQL of a service that was killed, which is not in the session's process group."""
    for path in folder.rglob("postmaster.pid"):
        pid = int(path.read_text().split()[0])
        with contextlib.suppress(OSError):
            # The pid may be reused. The working directory identifies a server.
            if os.readlink(f"/proc/{pid}/cwd") == str(path.parent):
                os.kill(pid, signal.SIGINT)
                wait_until(lambda pid=pid: not is_alive(pid))


def wait_until(condition):
    deadline = time.monotonic() + MAX_SECONDS_TO_STOP
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def is_ready(port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/healthz/ready")
            return connection.getresponse().status == 200
    return False


def state_and_group(pid):
    """Returns the state and the group of a process."""
    with contextlib.suppress(OSError):
        state, _, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
        return state, int(group)
    return None, None


def is_alive(pid):
    return state_and_group(pid)[0] not in (None, "Z")


def is_group_alive(group):
    found = (state_and_group(path.name) for path in Path("/proc").glob("[0-9]*"))
    return any(own == group and state != "Z" for state, own in found)
