"""Holds docker/Dockerfile to its promises, runs what of its stages runs anywhere, and checks the list of what is inside.
usage: build.py SBOM"""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dockerfile import exec_form, read

wrong = []


def want(holds, complaint):
    if not holds:
        wrong.append(complaint)


arguments, stages = read()
build, final = stages[0], stages[-1]
text = pathlib.Path("docker/Dockerfile").read_text()

want(final.base == "scratch", "the final stage is not scratch")
for stage in stages[:-1]:
    match = re.fullmatch(r"\$\{(\w+)\}", stage.base)
    default = arguments.get(match[1], "") if match else ""
    want(match, f"{stage.base}: a base that no argument names")
    want(re.fullmatch(r"[a-z]+:[\w.-]*\d[\w.-]*", default), f"{stage.base}: its default is no short name with a version: {default}")
want(re.fullmatch(r"65532(:65532)?", "".join(final.all("USER"))), "USER is not 65532, by number")
for keyword in ("ENTRYPOINT", "CMD", "VOLUME"):
    want(exec_form("".join(final.all(keyword))), f"{keyword} is not in the exec form")
health = re.search(r"CMD (.*)$", "".join(final.all("HEALTHCHECK")))
want(health and exec_form(health[1]) == ["/lockkeeper", "health", "--live"], "HEALTHCHECK does not ask whether it lives")
want(not any(stage.all("ADD") for stage in stages), "ADD fetches and unpacks: COPY does not")
want(not final.all("RUN"), "nothing can run in scratch")
for label in ("title", "description", "licenses", "version", "revision", "created", "source"):
    want(f"org.opencontainers.image.{label}=" in " ".join(final.all("LABEL")), f"there is no label {label}")
secret = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key)\w*\s*=")
want(not secret.search(text) and "DATABASE_URL=" not in text, "a secret has no place in an image")
want(build.env().get("SQLX_OFFLINE") == "true", "the build would want a database")
want("--locked" in text and "cargo build" in text, "the build is not --locked")

# Which files of the tree get to the builder: the last pattern that fits a file, or a folder above it, counts.
patterns = [line for line in pathlib.Path("docker/Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"]


def is_ignored(path):
    answer = False
    above = [str(path), *(str(each) for each in pathlib.PurePath(path).parents if str(each) != ".")]
    for pattern in patterns:
        if any(fnmatch.fnmatchcase(each, pattern.lstrip("!")) for each in above):
            answer = not pattern.startswith("!")
    return answer


names = {stage.name for stage in stages}
for stage in stages:
    for flags, sources, _ in stage.copies():
        if "from" in flags:
            want(flags["from"] in names, f"COPY --from={flags['from']}: there is no such stage")
            continue
        for source in sources:
            want(pathlib.Path(source).exists(), f"COPY {source}: it is not there")
            want(not is_ignored(pathlib.PurePath(source)), f"COPY {source}: the builder does not get it")
for path in (".git/config", ".lockkeeper/signing-key.pem", "target/release/lockkeeper", "docker/.env", ".env"):
    want(is_ignored(path), f"the builder gets {path}")
# Made in a RUN before, or there from the start.
for flags, sources, _ in final.copies():
    if "from" in flags:
        for source in sources:
            made = source.startswith("/etc/ssl/") or re.search(rf"{re.escape(source)}\b", " ".join(build.all("RUN")))
            want(made, f"COPY {source}: no RUN makes it")

copied = {pathlib.Path(source) for flags, sources, _ in build.copies() if "from" not in flags for source in sources}
for file in pathlib.Path("src").rglob("*.rs"):
    for path in re.findall(r'\binclude(?:_str|_bytes)?!\(\s*"([^"]+)"', file.read_text()):
        path = (file.parent / path).resolve().relative_to(pathlib.Path.cwd())
        want(any(path.is_relative_to(each) for each in copied), f"{file}: includes {path}, which the build does not get")
# sqlx's macros look for these by themselves.
for path in ("Cargo.toml", "Cargo.lock", "src", "migrations", ".sqlx", *(["build.rs"] if pathlib.Path("build.rs").exists() else [])):
    want(pathlib.Path(path) in copied, f"the build does not get {path}")

# The layer of dependencies: the manifest is content with the empty program's files.
stub = next(run for run in build.all("RUN") if "fn main" in run).split("&& cargo build")[0]
with tempfile.TemporaryDirectory() as folder:
    for name in ("Cargo.toml", "Cargo.lock"):
        (pathlib.Path(folder) / name).write_bytes(pathlib.Path(name).read_bytes())
    subprocess.run(["bash", "-euo", "pipefail", "-c", stub], cwd=folder, check=True)
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    want(answer.returncode == 0, f"the manifest does not take the empty program:\n{answer.stderr}")
    if answer.returncode == 0:
        targets = json.loads(answer.stdout)["packages"][0]["targets"]
        missing = [target["src_path"] for target in targets if not pathlib.Path(target["src_path"]).exists()]
        want(not missing, f"the empty program lacks {missing}")

bom_text = pathlib.Path(sys.argv[1]).read_text()
bom = json.loads(bom_text)
error = JsonStrictValidator(SchemaVersion.from_version(bom["specVersion"])).validate_str(bom_text)
want(error is None, f"the list of what is inside is not CycloneDX: {error}")
lock = {(each["name"], each["version"]): each.get("checksum") for each in tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]}
for each in bom["components"]:
    want(each.get("hashes", [{}])[0].get("content") == lock.get((each["name"], each["version"])), f"{each['purl']}: not as locked")
listed = {each["bom-ref"] for each in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
for each in bom["dependencies"]:
    want({each["ref"], *each["dependsOn"]} <= listed, f"{each['ref']} depends on what is not listed")
direct = tomllib.loads(pathlib.Path("Cargo.toml").read_text())["dependencies"]
want(set(direct) <= {each["name"] for each in bom["components"]}, "the list lacks what Cargo.toml names")
# Whoever answers for others' certificates has them from the system.
want(not {"webpki-roots", "webpki-root-certs"} & {each["name"] for each in bom["components"]}, "the program has authorities of its own")

if wrong:
    sys.exit("\n".join(f"image: {each}" for each in wrong))
print(f"Dockerfile: keeps its promises; the list of what is inside is CycloneDX {bom['specVersion']}, {len(listed)} components")
