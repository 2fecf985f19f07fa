"""Many concurrent requests during emergency stops."""

import threading
import time

from service import check


def flood(threads, seconds, ask):
    """Sends requests on a number of threads for a number of seconds. Returns the number of responses by status."""
    statuses, lock, ends = {}, threading.Lock(), time.monotonic() + seconds

    def run(number):
        while time.monotonic() < ends:
            try:
                status = ask(number).status
            except OSError:
                status = "closed"
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    check(not any(isinstance(status, int) and status >= 500 and status != 503 for status in statuses), statuses)
    return statuses


def strangers(service, admin, scale):
    paths = ["/updates/s1.json", "/os/updates/s1.json", "/os/prod/streams/s1/releases.json", "/os/v1/graph?stream=s1&basearch=x86_64&oci=true",
             "/api/v1/products", "/api/v1/openapi.json", "/healthz/ready"]
    flood(24, 2 * scale, lambda number: service.ask("GET", paths[number % len(paths)]))
    stop = "/api/v1/products/os/streams/s1/emergency-stop?reason=x"
    statuses = flood(24, scale, lambda _: service.ask("POST", stop, "x.y.z"))
    check(set(statuses) <= {401, 429, 503, "closed"}, statuses)


def changing_wariness(service, admin, scale):
    """Alternating positions in rollouts over full graphs: each needs a different response."""
    path = "/os/v1/graph?stream=s{}&basearch=x86_64&oci=true&rollout_wariness=0.{}"
    flood(8, 2 * scale, lambda number: service.ask("GET", path.format(number % 9, time.monotonic_ns() % 97)))


def viewers(service, admin, scale):
    viewer = service.token("viewer", "os/*")
    paths = ["graph?arch=x86_64&scheme=oci", "explain?arch=x86_64&scheme=oci&release=1.9&wariness=0.9", "lint", "document", "releases?limit=500",
             "revisions/1/diff"]
    statuses = flood(40, 2 * scale, lambda number: service.ask("GET", f"/api/v1/products/os/streams/s{number % 9}/{paths[number % len(paths)]}", viewer))
    check(statuses.get(200, 0) > 0, statuses)


def publishers(service, admin, scale):
    publisher = service.token("publisher", "os/*")

    def ask(number):
        version = f"flood-{number}-{time.monotonic_ns()}"
        if number % 2:
            return service.write("POST", f"s{number % 9}/releases", publisher, {"version": version}, "&dry_run=true")
        return service.write("POST", f"s{number % 9}/releases", publisher, {"version": version})

    statuses = flood(40, 2 * scale, ask)
    check(statuses.get(201, 0) > 0, statuses)


ATTACKS = [strangers, changing_wariness, viewers, publishers]
