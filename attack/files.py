"""Files that expand without limit, and hostile text for terminals."""

import resource
import subprocess

from service import check


def limited():
    """Limits the address space of a command to 1 GiB: a command that expands a bomb fails."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def bombs(service, admin, _):
    bomb = service.path / "bomb.zst"
    zeros = subprocess.run(["zstd", "-q", "-19", "--stdout"], input=b"\0" * (1 << 30), capture_output=True)
    check(zeros.returncode == 0, zeros.stderr)
    bomb.write_bytes(zeros.stdout)
    done = service.command("restore", "--check", "--from", str(bomb), check_status=False, preexec_fn=limited)
    check(done.returncode == 1 and "memory allocation" not in done.stderr, f"{done.returncode}: {done.stderr[:300]}")
    upstream = service.path / "upstream"
    (upstream / "prod/streams/stable").mkdir(parents=True)
    (upstream / "updates").mkdir()
    for name in ["prod/streams/stable/releases.json", "updates/stable.json"]:
        (upstream / name).symlink_to("/dev/zero")
    done = service.command("import", "fcos", "--from", str(upstream), "--stream", "stable", check_status=False, preexec_fn=limited)
    check(done.returncode == 1 and "memory allocation" not in done.stderr, f"{done.returncode}: {done.stderr[:300]}")


def terminal(service, admin, _):
    """Escape sequences from nodes and release managers do not reach the operator's terminal."""
    hostile = "quay.io%2Fos%1b%5b31m%40sha256%3A" + "0" * 64
    service.ask("GET", f"/os/v1/graph?stream=s1&basearch=x86_64&oci=true&os_checksum={hostile}&rollout_wariness=0.5")
    service.ask("GET", "/os/v1/graph?stream=s1&basearch=x86_64&oci=true&os_checksum=node%40example.org&rollout_wariness=0.5")
    shown = service.command("fleet", "unknown", "--url", f"http://127.0.0.1:{service.port}").stdout
    check("\x1b" not in shown and "example.org" not in shown, repr(shown[:300]))
    done = service.command("token", "create", "--role", "viewer", "--streams", "*", "--expires-in", "1h", "--name", "\x1b[31mred", check_status=False)
    check(done.returncode == 1 and "\x1b[31mred" not in done.stderr + done.stdout, repr(done.stderr))


ATTACKS = [bombs, terminal]
