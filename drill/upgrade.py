"""Three replicas behind nginx are rolled from one version to the next and back, twice over, under polls and writes.

Between the two versions the schema changes. No poll may fail, and no write may fail in another way than one that says: try again.
`make upgrade-drill` runs this; it needs Python 3.11, nginx, and DATABASE_URL to name an empty database.
"""

import argparse
import contextlib
import dataclasses
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "load"))

import documents
from servers import HOST, LAST_WORDS, Failed, Program, ask, child, free_port, nginx_program, wait_until

REPLICAS = 3
POLLERS = 3
STREAM = "stable"
# What tells a client to try again (docs/API.md).
RETRYABLE = {429, 502, 503, 504}
# How long readiness says "stopping" before connections are closed. nginx sees it by what fails alone.
DRAIN = "1s"
# Drafts are numbered from here on, behind what is there.
FIRST_DRAFT = 1_000_000
# Between two writes, and between two polls of one poller.
PAUSE = 0.01
# How long everything runs before, between and after the rolls.
QUIET = 1.5

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream lockkeeper {{
        {servers}
    }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://lockkeeper;
            proxy_http_version 1.1;
            # A replica that stops is taken for gone after one failure, and asked again a second later.
            proxy_next_upstream error timeout http_503;
            proxy_connect_timeout 1s;
        }}
    }}
}}
"""


@dataclasses.dataclass
class Tally:
    """What came of the requests of one kind."""

    answered: int = 0
    told_to_retry: int = 0
    failures: list = dataclasses.field(default_factory=list)


class Replica:
    """One of several services over one database, on a port of its own."""

    def __init__(self, folder, number):
        self.folder, self.port, self.ending = folder / f"replica-{number}", free_port(), None
        self.folder.mkdir()

    def start(self, program):
        settings = {
            "DATABASE_URL": os.environ["DATABASE_URL"],
            "LOCKKEEPER_DATABASE__MIGRATE": "false",
            "LOCKKEEPER_DRAIN_DELAY": DRAIN,
        }
        command = [program.binary, "serve", "--listen", f"{HOST}:{self.port}", "--data-dir", self.folder]
        self.ending = contextlib.ExitStack()
        log = self.ending.enter_context((self.folder / "log").open("ab"))
        process = self.ending.enter_context(child(command, env=program.environment | settings, stderr=log))
        wait_until(lambda: self.is_ready() or process.poll() is not None, 60, f"the start of {self.folder.name}")
        if process.poll() is not None:
            raise Failed(f"{self.folder.name} ended: {(self.folder / 'log').read_text()[-LAST_WORDS:]}")

    def stop(self):
        if self.ending:
            self.ending.close()
            self.ending = None

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(self.port, "/healthz/ready")[0] == 200
        return False


@contextlib.contextmanager
def proxy(folder, replicas):
    """nginx before the replicas: its port."""
    port = free_port()
    servers = "\n        ".join(f"server {HOST}:{replica.port} max_fails=1 fail_timeout=1s;" for replica in replicas)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, host=HOST, port=port, servers=servers))
    command = [nginx_program(), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    with child(command, stderr=subprocess.DEVNULL):
        wait_until(lambda: is_answering(port), 10, "the start of nginx")
        yield port


def is_answering(port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(port, "/healthz/live")[0] == 200
    return False


def poll(port, wanted, stopped, tally):
    """Polls over and over, as agents do: a connection a poll. Every answer has to have the release that was there before."""
    while not stopped.wait(PAUSE):
        try:
            status, _, body = ask(port, f"/v1/graph?stream={STREAM}&basearch=x86_64")
            versions = [node["version"] for node in json.loads(body)["nodes"]] if status == 200 else []
        except (OSError, http.client.HTTPException, ValueError) as error:
            tally.failures.append(repr(error))
            continue
        if wanted in versions:
            tally.answered += 1
        else:
            tally.failures.append(f"{status} {body[:200]!r}")


def write(port, token, stopped, tally):
    """Makes drafts over and over. Whoever is told to try again does so with the same Idempotency-Key. The versions that were made."""
    made = []
    while not stopped.wait(PAUSE):
        version = f"40.{FIRST_DRAFT + len(made):08}.3.0"
        while True:
            status, said = draft(port, token, version)
            if status in (200, 201):
                tally.answered += 1
                made.append(version)
                break
            if status not in RETRYABLE:
                tally.failures.append(f"{version}: {status} {said[:300]!r}")
                return made
            tally.told_to_retry += 1
            time.sleep(PAUSE)
    return made


def draft(port, token, version):
    connection = http.client.HTTPConnection(HOST, port, timeout=35)
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": version,
    }
    release = documents.release(STREAM, int(version.split(".")[1]), ("x86_64",), ("checksum",))
    try:
        path = f"/api/v1/products/{documents.PRODUCT}/streams/{STREAM}/releases?reason=drill"
        connection.request("POST", path, json.dumps(release), headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        # nginx answers whatever happens behind it: a connection that it breaks off is a failure of ours.
        return 0, repr(error).encode()
    finally:
        connection.close()


def roll(what, program, replicas):
    """One after the other is stopped, and started as this version."""
    begun = time.monotonic()
    for replica in replicas:
        replica.stop()
        replica.start(program)
    print(f"  {what}: {time.monotonic() - begun:.1f} s", flush=True)
    time.sleep(QUIET)


def fill(program, folder):
    """A stream of a few releases, the newest of which is open to all: its version."""
    document = documents.made_up(STREAM, 3, arches=("x86_64",))
    documents.open_newest(document, [{"start_share": 1.0}])
    path = folder / "stable.toml"
    path.write_text(documents.text(document))
    program.run("document", "put", path, "--reason", "drill", "--data-dir", folder)
    return document["releases"][-1]["version"]


def drill(this, following, folder):
    """Everything, in its order. The tallies of polls and writes, and the drafts that were made."""
    this.environment["DATABASE_URL"] = following.environment["DATABASE_URL"] = os.environ["DATABASE_URL"]
    this.run("database", "migrate", "--data-dir", folder)
    wanted = fill(this, folder)
    give = ["token", "create", "--role", "admin", "--on", "*", "--for", "1h", "--name", "drill"]
    token = this.run(*give, "--data-dir", folder).strip()
    replicas = [Replica(folder, number) for number in range(REPLICAS)]
    polls, writes, made, stopped = Tally(), Tally(), [], threading.Event()
    with contextlib.ExitStack() as ending:
        for replica in replicas:
            ending.callback(replica.stop)
            replica.start(this)
        port = ending.enter_context(proxy(folder, replicas))
        workers = [threading.Thread(target=poll, args=(port, wanted, stopped, polls)) for _ in range(POLLERS)]
        workers.append(threading.Thread(target=lambda: made.extend(write(port, token, stopped, writes))))
        ending.callback(lambda: [stopped.set(), *(worker.join() for worker in workers)])
        for worker in workers:
            worker.start()
        time.sleep(QUIET)
        roll("restarted as they are", this, replicas)
        print(f"  {following.run('database', 'migrate', '--data-dir', folder).strip()}, under the running ones")
        time.sleep(QUIET)
        roll("rolled to the next version", following, replicas)
        roll("and back, over the newer schema", this, replicas)
        roll("and forward again", following, replicas)
    kept = following.run("document", "show", "--stream", STREAM, "--data-dir", folder)
    lost = [version for version in made if kept.count(f'version = "{version}"') != 1]
    writes.failures += [f"{version} is not there once" for version in lost]
    return polls, writes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--this", required=True, help="the program as it is")
    parser.add_argument("--next", required=True, help="the next version of it, with a newer schema")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockkeeper-drill.") as folder:
        # nginx's workers, and replicas, may be another user's.
        os.chmod(folder, 0o755)
        polls, writes = drill(Program(arguments.this), Program(arguments.next), Path(folder))
    print(f"polls: {polls.answered} answered, {len(polls.failures)} failed")
    print(f"writes: {writes.answered} done, {writes.told_to_retry} told to try again, {len(writes.failures)} failed")
    for failure in (polls.failures + writes.failures)[:10]:
        print(f"  {failure}")
    if polls.failures or writes.failures or polls.answered < 1000 or writes.answered < 100:
        sys.exit("the drill failed")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"the drill could not be done: {failed}")
