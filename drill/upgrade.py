"""Upgrades three replicas behind nginx from one version to the next and back, twice, under polls and writes.

The two versions have different schemas. No poll may fail, and writes may fail only with retryable errors.
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
import tomllib
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "load"))

import documents
from peers import nginx_program
from servers import HOST, SHOWN_OUTPUT, Failed, Program, ask, child, free_port, wait_until

REPLICAS = 3
POLLERS = 3
STREAM = "stable"
# Statuses after which a client should retry (docs/reference/api.md).
RETRYABLE = {429, 502, 503, 504}
# How long readiness answers "stopping" before connections are closed. nginx notices only failures, not readiness.
DRAIN = "1s"
# The rollouts of some drafts: the second one comes before the first.
ROLLOUTS = ({"preset": "week"}, {"preset": "linear-48h", "selector": {"groups": ["canary"]}, "before": 1})
# The number of the first draft, after those of existing releases.
FIRST_DRAFT = 1_000_000
# The pause before a retry of a write, and between two polls of one poller, in seconds.
PAUSE = 0.01
# How long everything runs before, between and after upgrades, in seconds.
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
            # A replica counts as down after one failure, and is tried again after a second.
            proxy_next_upstream error timeout http_503;
            proxy_connect_timeout 1s;
        }}
    }}
}}
"""


@dataclasses.dataclass
class Tally:
    """Results of one kind of request."""

    answered: int = 0
    retried: int = 0
    failures: list = dataclasses.field(default_factory=list)


class Replica:
    """One of several services with the same database, on its own port."""

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
            raise Failed(f"{self.folder.name} ended: {(self.folder / 'log').read_text()[-SHOWN_OUTPUT:]}")

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
    """Runs nginx in front of the replicas, and yields its port."""
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


# The pause between writes, in seconds. A drill then creates more than a hundred drafts, but fewer than a stream's limit.
WRITE_PAUSE = 0.08


def poll(port, wanted, stopped, tally):
    """Polls repeatedly, as agents do, with one connection per poll. Every response must contain the first release."""
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
    """Creates drafts repeatedly, some with rollouts. Returns the created versions."""
    created = []
    while not stopped.wait(WRITE_PAUSE):
        # A stream allows 200 drafts, one of which may have been created by a try whose response was lost.
        if len(created) >= 199:
            continue
        version = f"40.{FIRST_DRAFT + len(created):08}.3.0"
        release = documents.release(STREAM, int(version.split(".")[1]), ("x86_64",), ("checksum",))
        if not post(port, token, "releases", release, tally):
            return created
        created.append(version)
        # Two rollouts: the version that answers may be another one each time.
        for rollout in ROLLOUTS if len(created) % 4 == 1 else ():
            if not post(port, token, f"releases/{version}/rollouts", rollout, tally):
                return created
    return created


def post(port, token, path, body, tally):
    """Creates something, and retries with the same Idempotency-Key. Returns false if that failed."""
    key = f"{path} {json.dumps(body)}"
    while True:
        status, answer = try_to_post(port, token, path, body, f"drill-{zlib.crc32(key.encode())}")
        if status in (200, 201):
            tally.answered += 1
            return True
        if status not in RETRYABLE:
            tally.failures.append(f"{path}: {status} {answer[:300]!r}")
            return False
        tally.retried += 1
        time.sleep(PAUSE)


def try_to_post(port, token, path, body, key):
    connection = http.client.HTTPConnection(HOST, port, timeout=35)
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    try:
        path = f"/api/v1/products/{documents.PRODUCT}/streams/{STREAM}/{path}?reason=drill"
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        # nginx always sends a response, so a broken connection is a failure of this service.
        return 0, repr(error).encode()
    finally:
        connection.close()


def roll(what, program, replicas):
    """Stops the replicas in turn, and restarts each with this version."""
    begun = time.monotonic()
    for replica in replicas:
        replica.stop()
        replica.start(program)
    print(f"  {what}: {time.monotonic() - begun:.1f} s", flush=True)
    time.sleep(QUIET)


def fill(program, folder):
    """Creates a stream of a few releases, the newest of which is open to all nodes, and returns its version."""
    document = documents.made_up(STREAM, 3, arches=("x86_64",))
    documents.open_newest(document, [{"start_share": 1.0}])
    path = folder / "stable.toml"
    path.write_text(documents.text(document))
    program.run("document", "put", path, "--reason", "drill", "--data-dir", folder)
    return document["releases"][-1]["version"]


def drill(this, following, folder):
    """Runs the whole drill, and returns the results of polls and writes."""
    this.environment["DATABASE_URL"] = following.environment["DATABASE_URL"] = os.environ["DATABASE_URL"]
    this.run("database", "migrate", "--data-dir", folder)
    wanted = fill(this, folder)
    create_token = ["token", "create", "--role", "admin", "--streams", "*", "--expires-in", "1h", "--name", "drill"]
    token = this.run(*create_token, "--data-dir", folder).strip()
    replicas = [Replica(folder, number) for number in range(REPLICAS)]
    polls, writes, created, stopped = Tally(), Tally(), [], threading.Event()
    with contextlib.ExitStack() as ending:
        for replica in replicas:
            ending.callback(replica.stop)
            replica.start(this)
        port = ending.enter_context(proxy(folder, replicas))
        workers = [threading.Thread(target=poll, args=(port, wanted, stopped, polls)) for _ in range(POLLERS)]
        workers.append(threading.Thread(target=lambda: created.extend(write(port, token, stopped, writes))))
        ending.callback(lambda: [stopped.set(), *(worker.join() for worker in workers)])
        for worker in workers:
            worker.start()
        time.sleep(QUIET)
        roll("restarted with the same version", this, replicas)
        print(f"  {following.run('database', 'migrate', '--data-dir', folder).strip()}, under running replicas")
        time.sleep(QUIET)
        roll("upgraded to the next version", following, replicas)
        roll("rolled back, with the newer schema", this, replicas)
        roll("upgraded again", following, replicas)
    document = following.run("document", "show", "--stream", STREAM, "--data-dir", folder)
    for release in tomllib.loads(document)["releases"]:
        ids = [rollout.get("id") for rollout in release.get("rollouts", [])]
        if None in ids or len(set(ids)) < len(ids):
            writes.failures.append(f"{release['version']} has rollouts with the ids {ids}")
    lost = [version for version in created if document.count(f'version = "{version}"') != 1]
    writes.failures += [f"{version} is missing or duplicated" for version in lost]
    return polls, writes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--this", required=True, help="this version of the program")
    parser.add_argument("--next", required=True, help="the next version, with a newer schema")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockkeeper-drill.") as folder:
        # nginx's workers and replicas may run as other users.
        os.chmod(folder, 0o755)
        polls, writes = drill(Program(arguments.this), Program(arguments.next), Path(folder))
    print(f"polls: {polls.answered} answered, {len(polls.failures)} failed")
    print(f"writes: {writes.answered} done, {writes.retried} retried, {len(writes.failures)} failed")
    for failure in (polls.failures + writes.failures)[:10]:
        print(f"  {failure}")
    if polls.failures or writes.failures or polls.answered < 1000 or writes.answered < 100:
        sys.exit("the drill failed")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"the drill could not run: {failed}")
