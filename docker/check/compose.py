"""Checks docker/compose.yaml against the specification and additional rules."""

import json
import os
import pathlib
import re
import sys

import compose_spec
import yaml

wrong = []


def want(is_met, complaint):
    if not is_met:
        wrong.append(complaint)


path = pathlib.Path("docker/compose.yaml")
text = path.read_text()
example = pathlib.Path("docker/env.example").read_text()
offered = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.M))


def value(match):
    name, operator, rest = match[1], match[2], match[3]
    want(name in offered, f"env.example has no {name}")
    if operator == ":?":
        want(offered.get(name) == "", f"env.example has a value for {name}, which every user must choose")
        return "chosen"
    return rest


# Substitutes variables, as the engine does before it parses the file.
plain = re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)
want("$" not in plain, "a variable needs a default or ${NAME:?...}")
file = yaml.safe_load(plain)
try:
    compose_spec.PyCompose.from_json(json.dumps(file))
except Exception as error:  # The library raises errors without a specific type.
    wrong.append(f"not as the specification says: {error}")

services = file["services"]
replicas = {name: each for name, each in services.items() if each.get("image", "").startswith("lockkeeper")}
want(len(replicas) == 2, "there must be two replicas")
for name, each in services.items():
    image = each["image"]
    want("/" not in image or not re.search(r"[.:]", image.split("/")[0]), f"{name}: the image must not name a registry: {image}")
    want(re.search(r":[\w.-]+$", image) and not image.endswith(":latest"), f"{name}: the image has no version: {image}")
    for port in each.get("ports", []):
        want(str(port).startswith("127.0.0.1:"), f"{name}: {port} must be open only to this machine")
    want("no-new-privileges:true" in each.get("security_opt", []), f"{name}: may gain privileges")
    want("env_file" not in each, f"{name}: env_file hides missing variables")
    for volume in each.get("volumes", []):
        source = volume.split(":")[0]
        here = path.parent / source
        want(here.exists() if source.startswith(".") else source in file["volumes"], f"{name}: {source} does not exist")
        want(not source.startswith(".") or volume.endswith(":ro"), f"{name}: may write to {source}")
    for variable in each.get("environment", {}):
        if re.search(r"PASSWORD", variable):
            want(each["environment"][variable] == "chosen", f"{name}: {variable} must not have a fixed value")
    for network in each["networks"]:
        want(network in file["networks"], f"{name}: the network {network} is not defined")
for name, each in replicas.items():
    want(each["read_only"] and each["cap_drop"] == ["ALL"], f"{name}: must be read-only and drop all capabilities")
    want("ports" not in each, f"{name}: must be reachable only through the proxy")
    context = (path.parent / each["build"]["context"]).resolve()
    want((context / each["build"]["dockerfile"]).exists(), f"{name}: {each['build']['dockerfile']} does not exist")
    trusted = each["environment"]["LOCKKEEPER_LIMITS__TRUSTED_PROXIES"]
    want(services["proxy"]["networks"]["front"]["ipv4_address"] in trusted, f"{name}: does not trust the proxy")
data = [each["volumes"][0] for each in replicas.values()]
want(len(set(data)) == len(data), "replicas share a data directory")
want(not os.path.exists("docker/.env") or "/.env" in pathlib.Path("docker/.gitignore").read_text(), "git does not ignore docker/.env")

# References to the services in other files.
prometheus = yaml.safe_load(pathlib.Path("docker/prometheus/prometheus.yml").read_text())
targets = [target for job in prometheus["scrape_configs"] for each in job["static_configs"] for target in each["targets"]]
caddyfile = pathlib.Path("docker/Caddyfile").read_text()
for name in replicas:
    want(f"{name}:8082" in targets, f"Prometheus does not scrape {name}")
    want(all(f"{name}:{port}" in caddyfile for port in (8080, 8081)), f"the proxy does not use {name}")
source = yaml.safe_load(pathlib.Path("docker/grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
want(re.fullmatch(r"http://(\w+):9090", source["url"])[1] in services, "Grafana's data source is not a service")
provider = yaml.safe_load(pathlib.Path("docker/grafana/provisioning/dashboards/lockkeeper.yaml").read_text())["providers"][0]
want(any(f":{provider['options']['path']}:" in each for each in services["grafana"]["volumes"]), "Grafana has no dashboards")

if wrong:
    sys.exit("\n".join(f"compose.yaml: {each}" for each in wrong))
print(f"compose.yaml: valid, {len(services)} services")
