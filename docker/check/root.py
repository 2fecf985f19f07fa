"""Creates the image's root file system from its final stage and a binary, and runs the binary there: as 65532, with a read-only root,
the image's environment and no database. Must run in its own mount and network namespaces (unshare).
usage: root.py SBOM BINARY [--with-libraries]"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request

from dockerfile import exec_form, read

MAX_BYTES = 40 * 1024 * 1024
sbom, binary = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
final = read()[1][-1]


def is_static(path):
    """Returns true for an ELF file without an interpreter (3: PT_INTERP)."""
    content = path.read_bytes()
    if content[:5] != b"\x7fELF\x02":
        sys.exit(f"{path} is not a 64-bit ELF file")
    (at,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    return all(struct.unpack_from("<I", content, at + size * number)[0] != 3 for number in range(count))


def fill(root):
    """Copies the files of the final stage; local files replace those of an earlier stage."""
    built = {"/out/lockkeeper": binary, "/out/sbom.cdx.json": sbom, "/out/data": None}
    for flags, sources, target in final.copies():
        for source in sources:
            path = root / target.lstrip("/")
            origin = built.get(source, pathlib.Path(source)) if "from" in flags else pathlib.Path(source)
            if origin is None:
                path.mkdir(parents=True)
            else:
                path = path / origin.name if target.endswith("/") else path
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, path)
            if owner := flags.get("chown"):
                os.chown(path, *map(int, owner.split(":")))


def bring_up_loopback():
    with socket.socket() as any_socket:
        # SIOCSIFFLAGS: IFF_UP and IFF_RUNNING.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", 0x41))


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder, "root")
    root.mkdir(mode=0o755)
    os.chmod(folder, 0o755)
    fill(root)
    size = sum(each.stat().st_size for each in root.rglob("*") if each.is_file())
    is_trial = "--with-libraries" in sys.argv
    if size > MAX_BYTES and not is_trial:
        sys.exit(f"the image would have {size / 2**20:.1f} MiB, more than {MAX_BYTES >> 20}")
    print(f"root: {size / 2**20:.1f} MiB, of which the program {binary.stat().st_size / 2**20:.1f}")
    if is_static(binary):
        print("root: the program is static")
    elif not is_trial:
        sys.exit(f"{binary} is not static: nothing in the image could start it")
    else:
        wanted = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", wanted):
            (root / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library.lstrip("/"))
        print("root: NOT the image's root: the program is not static, and its libraries were added for a trial")

    volume = root / "var/lib/lockkeeper"
    # The folder can be removed only after its mounts.
    mounts = contextlib.ExitStack()
    mounts.callback(subprocess.run, ["umount", "--recursive", str(root)], check=True)
    # Like a container engine: a read-only root, a volume, and the devices of every container (OCI runtime specification).
    owner, devices = volume.stat(), root / "dev"
    devices.mkdir()
    for words in (
        ["--bind", str(root), str(root)],
        ["-o", "remount,bind,ro,nosuid,nodev", str(root)],
        ["-t", "tmpfs", "-o", f"mode=0755,uid={owner.st_uid},gid={owner.st_gid}", "tmpfs", str(volume)],
        ["-t", "tmpfs", "-o", "mode=0755,nosuid", "tmpfs", str(devices)],
    ):
        subprocess.run(["mount", *words], check=True)
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        os.mknod(devices / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        os.chmod(devices / name, 0o666)
    with mounts:
        bring_up_loopback()
        user = final.all("USER")[0]
        program = exec_form(final.all("ENTRYPOINT")[0])
        health = exec_form(re.search(r"CMD (.*)$", final.all("HEALTHCHECK")[0])[1])

        def inside(words, **rest):
            in_root = ["chroot", f"--userspec={user}", str(root), *words]
            environment = {**final.env(), "DATABASE_URL": "postgres://lockkeeper@127.0.0.1:1/lockkeeper", "PATH": os.environ["PATH"]}
            return subprocess.Popen(in_root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **rest)

        printed = inside([*program, "--version"]).communicate(timeout=20)[0].strip()
        version = tomllib.loads(pathlib.Path("Cargo.toml").read_text())["package"]["version"]
        if printed != f"lockkeeper {version}":
            sys.exit(f"--version prints {printed!r}, expected lockkeeper {version}")
        print(f"root: {printed}, as {user}")

        service = inside([*program, *exec_form(final.all("CMD")[0])])
        deadline = time.monotonic() + 30
        while status("http://127.0.0.1:8082/healthz/live") != 200:
            if service.poll() is not None or time.monotonic() > deadline:
                service.kill()
                sys.exit(f"the service did not start:\n{service.communicate()[0]}")
            time.sleep(0.1)
        liveness = inside(health)
        printed = liveness.communicate(timeout=20)[0]
        if liveness.returncode != 0:
            sys.exit(f"the service is live, but {health} ended with {liveness.returncode}: {printed}")
        readiness = inside([*program, "health"])
        printed = readiness.communicate(timeout=20)[0]
        ready = status("http://127.0.0.1:8082/healthz/ready")
        service.terminate()
        log = service.communicate(timeout=60)[0]
        if ready == 200 or readiness.returncode != 1:
            sys.exit(f"without a database, readiness is {ready}, and `health` ended with {readiness.returncode}: {printed}\n{log}")
        if service.returncode != 0:
            sys.exit(f"after SIGTERM the service ended with {service.returncode}:\n{log}")
        if re.search(r"panicked|Read-only|Permission denied", log):
            sys.exit(f"the service lacked a permission:\n{log}")
        print("root: the service runs with a read-only root, is live, is not ready without a database, and stops on SIGTERM")
