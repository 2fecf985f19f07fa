"""Checks docker/Dockerfile, runs the parts of its stages that do not need a container engine, and checks the SBOM.
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


def want(is_met, complaint):
    if not is_met:
        wrong.append(complaint)


arguments, stages = read()
build, final = stages[0], stages[-1]
text = pathlib.Path("docker/Dockerfile").read_text()

want(final.base == "scratch", "the final stage is not scratch")
for stage in stages[:-1]:
    match = re.fullmatch(r"\$\{(\w+)\}", stage.base)
    default = arguments.get(match[1], "") if match else ""
    want(match, f"{stage.base}: the base image must come from an ARG")
    want(re.fullmatch(r"[a-z]+:[\w.-]*\d[\w.-]*", default), f"{stage.base}: the default must be a short name with a version: {default}")
want(re.fullmatch(r"65532(:65532)?", "".join(final.all("USER"))), "USER must be 65532, as a number")
for keyword in ("ENTRYPOINT", "CMD", "VOLUME"):
    want(exec_form("".join(final.all(keyword))), f"{keyword} is not in the exec form")
health = re.search(r"CMD (.*)$", "".join(final.all("HEALTHCHECK")))
want(health and exec_form(health[1]) == ["/lockkeeper", "health", "--live"], "HEALTHCHECK must check liveness")
want(not any(stage.all("ADD") for stage in stages), "use COPY instead of ADD, which downloads and unpacks")
want(not final.all("RUN"), "the final stage cannot RUN anything")
for label in ("title", "description", "licenses", "version", "revision", "created", "source"):
    want(f"org.opencontainers.image.{label}=" in " ".join(final.all("LABEL")), f"the label {label} is missing")
secret = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key)\w*\s*=")
want(not secret.search(text) and "DATABASE_URL=" not in text, "the image must not contain a secret")
want(build.env().get("SQLX_OFFLINE") == "true", "the build must not need a database")
want("--locked" in text and "cargo build" in text, "the build is not --locked")

# The files that reach the builder: the last pattern that matches a file, or a folder above it, decides.
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
            want(flags["from"] in names, f"COPY --from={flags['from']}: unknown stage")
            continue
        for source in sources:
            want(pathlib.Path(source).exists(), f"COPY {source}: does not exist")
            want(not is_ignored(pathlib.PurePath(source)), f"COPY {source}: is excluded by .dockerignore")
for path in (".git/config", ".lockkeeper/signing-key.pem", "target/release/lockkeeper", "docker/.env", ".env"):
    want(is_ignored(path), f"the builder must not get {path}")
# Sources from another stage are created by a RUN, or part of its base image.
for flags, sources, _ in final.copies():
    if "from" in flags:
        for source in sources:
            exists = source.startswith("/etc/ssl/") or re.search(rf"{re.escape(source)}\b", " ".join(build.all("RUN")))
            want(exists, f"COPY {source}: no RUN creates it")

copied = {pathlib.Path(source) for flags, sources, _ in build.copies() if "from" not in flags for source in sources}
for file in pathlib.Path("src").rglob("*.rs"):
    for path in re.findall(r'\binclude(?:_str|_bytes)?!\(\s*"([^"]+)"', file.read_text()):
        path = (file.parent / path).resolve().relative_to(pathlib.Path.cwd())
        want(any(path.is_relative_to(each) for each in copied), f"{file}: includes {path}, which is not copied into the build")
# Files that cargo and sqlx's macros need.
for path in ("Cargo.toml", "Cargo.lock", "src", "migrations", ".sqlx", *(["build.rs"] if pathlib.Path("build.rs").exists() else [])):
    want(pathlib.Path(path) in copied, f"{path} is not copied into the build")

# The layer of dependencies: the manifest must accept the files of the empty program.
stub = next(run for run in build.all("RUN") if "fn main" in run).split("&& cargo build")[0]
with tempfile.TemporaryDirectory() as folder:
    for name in ("Cargo.toml", "Cargo.lock"):
        (pathlib.Path(folder) / name).write_bytes(pathlib.Path(name).read_bytes())
    subprocess.run(["bash", "-euo", "pipefail", "-c", stub], cwd=folder, check=True)
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    want(answer.returncode == 0, f"the manifest does not accept the empty program:\n{answer.stderr}")
    if answer.returncode == 0:
        targets = json.loads(answer.stdout)["packages"][0]["targets"]
        missing = [target["src_path"] for target in targets if not pathlib.Path(target["src_path"]).exists()]
        want(not missing, f"the empty program lacks {missing}")

bom_text = pathlib.Path(sys.argv[1]).read_text()
bom = json.loads(bom_text)
error = JsonStrictValidator(SchemaVersion.from_version(bom["specVersion"])).validate_str(bom_text)
want(error is None, f"the SBOM is not valid CycloneDX: {error}")
lock = {(each["name"], each["version"]): each.get("checksum") for each in tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]}
for each in bom["components"]:
    want(each.get("hashes", [{}])[0].get("content") == lock.get((each["name"], each["version"])), f"{each['purl']}: the checksum differs from Cargo.lock")
listed = {each["bom-ref"] for each in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
for each in bom["dependencies"]:
    want({each["ref"], *each["dependsOn"]} <= listed, f"{each['ref']} depends on a component that is not listed")
direct = tomllib.loads(pathlib.Path("Cargo.toml").read_text())["dependencies"]
want(set(direct) <= {each["name"] for each in bom["components"]}, "the SBOM lacks a dependency of Cargo.toml")
# CA certificates must come from the system.
want(not {"webpki-roots", "webpki-root-certs"} & {each["name"] for each in bom["components"]}, "the program contains its own CA certificates")

if wrong:
    sys.exit("\n".join(f"image: {each}" for each in wrong))
print(f"Dockerfile: no problems; the SBOM is CycloneDX {bom['specVersion']} with {len(listed)} components")
