"""Attacks a service over loopback, and fails if it does harm. See README.md."""

import argparse
import sys
import time

import bodies
import connections
import files
import floods
import tokens
from service import MAX_MEMORY_KIB, Harm, Service, Watch, check

FAMILIES = {"tokens": tokens, "bodies": bodies, "connections": connections, "floods": floods, "files": files}
# Low limits, which the attacks can reach, and a short timeout, which they can outlast.
LIMITS = {"LOCKKEEPER_LIMITS__MAX_CONNECTIONS": "200", "LOCKKEEPER_LIMITS__HEAD_TIMEOUT": "5s"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", required=True)
    arguments.add_argument("--short", action="store_true", help="shorter attacks; polls, probes and stops may take 10 seconds")
    arguments.add_argument("--only", help="names of families or attacks, separated by commas", default="")
    options = arguments.parse_args()
    wanted = set(filter(None, options.only.split(",")))
    issuers = tokens.Issuers()
    config = tokens_config(issuers)
    service = Service(options.binary, LIMITS | {"LOCKKEEPER_CONFIG": config})
    service.issuers = issuers
    failed, passed = [], 0
    try:
        admin = service.token("admin", "*", name="watch")
        service.expiring = tokens.Expiring(service)
        print(f"idle: {service.memory_kib('VmRSS') // 1024} MiB", flush=True)
        for family, module in FAMILIES.items():
            for attack in module.ATTACKS:
                if wanted and not wanted & {family, attack.__name__}:
                    continue
                name, started = f"{family}.{attack.__name__}", time.monotonic()
                try:
                    with Watch(service, admin, 10.0 if options.short else 1.0) as watch:
                        attack(service, admin, 1 if options.short else 5)
                    check(service.process.poll() is None, "the service ended")
                    check(service.memory_kib() <= MAX_MEMORY_KIB, f"{service.memory_kib() // 1024} MiB at most")
                    passed += 1
                    slowest = ", ".join(f"{what} {seconds * 1000:.0f} ms" for what, seconds in watch.slowest.items())
                    print(f"ok    {name}: {time.monotonic() - started:.1f} s, slowest {slowest}, peak {service.memory_kib() // 1024} MiB", flush=True)
                except Harm as harm:
                    failed.append(name)
                    print(f"HARM  {name}: {harm}", flush=True)
    finally:
        service.close()
    print(f"attacks: {passed} ok, {len(failed)} did harm{': ' + ', '.join(failed) if failed else ''}")
    sys.exit(1 if failed or not passed else 0)


def tokens_config(issuers):
    import os
    import tempfile

    handle, path = tempfile.mkstemp(suffix=".toml", prefix="lockkeeper-attack-")
    with os.fdopen(handle, "w") as file:
        for url in issuers.urls():
            file.write(f'[[auth.issuers]]\nissuer = "{url}"\naudiences = ["lockkeeper"]\nrefresh = "30s"\n')
            file.write('[[auth.issuers.rules]]\nclaims = { sub = "x" }\nrole = "admin"\nstreams = "*"\n')
    return path


if __name__ == "__main__":
    main()
