"""What is asked of objects: Kubernetes' schemas, the restricted Pod Security Standard, and that names lead to what they name."""

import re
from pathlib import Path

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

CRDS = yaml.safe_load((Path(__file__).parent / "crds.yaml").read_text())
LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}
# What pods are found by: nothing that an upgrade changes.
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
# The restricted Pod Security Standard's kinds of volumes.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def told(item):
    return f"{item['kind']} {item['metadata']['name']}"


def problems(items, kubernetes):
    """All of them."""
    names = [told(item) for item in items]
    yield from (f"{name} is there twice" for name in sorted(set(names)) if names.count(name) > 1)
    for item in items:
        for problem in (*against_schema(item, kubernetes), *metadata(item), *pod_problems(item)):
            yield f"{told(item)}: {problem}"
    for check in (sides, services, followers, ways, policies):
        yield from check(items)


def against_schema(item, kubernetes):
    """Typed, and with no field that Kubernetes does not know."""
    crd = CRDS.get(f"{item['apiVersion']}/{item['kind']}")
    if crd:
        schema = {
            "definitions": CRDS["definitions"],
            "additionalProperties": False,
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {"apiVersion": {}, "kind": {}, "metadata": {"$ref": "#/definitions/metadata"}, "spec": crd},
        }
        for error in Draft202012Validator(schema).iter_errors(item):
            yield f"{error.json_path}: {error.message}"
        return
    for version in kubernetes:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield error.message


def metadata(item):
    about = item["metadata"]
    missing = LABELS - about.get("labels", {}).keys()
    if missing:
        yield f"has no labels {', '.join(sorted(missing))}"
    if not about.get("namespace"):
        yield "has no namespace"
    for label, value in about.get("labels", {}).items():
        if not re.fullmatch(r"(|[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)", value):
            yield f"label {label} cannot be {value!r}"
    if item["kind"] == "Service" and len(about["name"]) > 63:
        yield "has too long a name"


def template(item):
    return item["spec"]["template"] if item["kind"] in ("Deployment", "Job") else None


def pod_problems(item):
    """The restricted standard, and what we want beyond it."""
    if template(item) is None:
        return
    pod = template(item)["spec"]
    own = pod.get("securityContext", {})
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers")):
        yield "shares something with its node"
    if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0:
        yield "may run as root"
    if own.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if own.keys() & {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile", "supplementalGroups"}:
        yield "asks for more than the standard gives"
    if pod.get("automountServiceAccountToken") is not False:
        yield "gets a token of its service account"
    if pod.get("enableServiceLinks") is not False:
        yield "gets variables named after Services, which the program would refuse"
    for volume in pod.get("volumes", []):
        if not volume.keys() - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a kind that is not allowed"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"] + pod.get("initContainers", []):
        yield from container_problems(container, volumes)


def container_problems(container, volumes):
    own = container.get("securityContext", {})
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "may gain privileges"
    if own.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if own.get("runAsNonRoot") is False or own.get("runAsUser") == 0 or own.get("procMount", "Default") != "Default":
        yield "takes back what the pod says"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "takes a port of its node"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "may take all of its node's memory"
    mounted = [mount["name"] for mount in container.get("volumeMounts", [])]
    if set(mounted) != volumes or len(mounted) != len(volumes):
        yield f"mounts {sorted(mounted)} of the volumes {sorted(volumes)}"
    names = [variable["name"] for variable in container.get("env", [])]
    if len(names) != len(set(names)):
        yield "has a variable twice"


def variables(item):
    env = template(item)["spec"]["containers"][0]["env"]
    return {variable["name"]: variable.get("value") for variable in env}


def unknown_options(items, options):
    """Variables that are no option of the program, which refuses to start with them."""
    for item in items:
        for name in variables(item) if template(item) else ():
            option = name.removeprefix("LOCKKEEPER_").lower().replace("__", ".")
            if name.startswith("LOCKKEEPER_") and name != "LOCKKEEPER_CONFIG" and option not in options:
                yield f"{told(item)}: {name} is no option of lockkeeper.example.toml"


def deployments(items):
    return [item for item in items if item["kind"] == "Deployment"]


def sides(items):
    """Agents have no routes that write, managers none for agents; nobody migrates at start; probes do not ask the public port."""
    if not deployments(items):
        yield "there is no Deployment"
    for item in deployments(items):
        own = item["metadata"]["labels"]["app.kubernetes.io/component"]
        other = {"agents": "managers", "managers": "agents"}[own]
        said = variables(item)
        container = template(item)["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if said.get(f"LOCKKEEPER_LISTENERS__{other.upper()}") != "off":
            yield f"{told(item)}: {other} are not off"
        for side, port in ((own, ports.get("https") or ports.get("http")), ("status", ports.get("status"))):
            if not said.get(f"LOCKKEEPER_LISTENERS__{side.upper()}", "").endswith(f":{port}"):
                yield f"{told(item)}: listens elsewhere than at its port for {side}"
        if said.get("LOCKKEEPER_DATABASE__MIGRATE") != "false":
            yield f"{told(item)}: migrates at start"
        if own == "agents" and "LOCKKEEPER_AUTH__SIGNING_KEY_FILE" in said:
            yield f"{told(item)}: has the key that tokens are signed with"
        for probe, path in (("startup", "live"), ("liveness", "live"), ("readiness", "ready")):
            if container.get(f"{probe}Probe", {}).get("httpGet") != {"path": f"/healthz/{path}", "port": "status"}:
                yield f"{told(item)}: the {probe} probe does not ask /healthz/{path} at the status port"
        stop = [said.get(f"LOCKKEEPER_{name}", "").removesuffix("s") for name in ("DRAIN_DELAY", "SHUTDOWN_GRACE")]
        left = template(item)["spec"].get("terminationGracePeriodSeconds", 30)
        if not all(seconds.isdigit() for seconds in stop) or left <= sum(map(int, stop)):
            yield f"{told(item)}: is killed before it has stopped"


def selected(items, labels):
    return [item for item in items if template(item) and labels.items() <= template(item)["metadata"]["labels"].items()]


def services(items):
    """Each leads to the pods of one Deployment, at a port that they have."""
    for item in items:
        if item["kind"] != "Service":
            continue
        found = selected(items, item["spec"]["selector"])
        if item["spec"]["selector"].keys() != SELECTOR:
            yield f"{told(item)}: finds pods by {sorted(item['spec']['selector'])}"
        if len(found) != 1 or found[0]["kind"] != "Deployment":
            yield f"{told(item)}: leads to {[told(other) for other in found]}"
            continue
        ports = {port["name"] for port in template(found[0])["spec"]["containers"][0]["ports"]}
        targets = {port["targetPort"] for port in item["spec"]["ports"]}
        yield from (f"{told(item)}: leads to the port {port}, which is not there" for port in sorted(targets - ports))
        if "status" in targets and item["spec"].get("clusterIP") != "None":
            yield f"{told(item)}: shows metrics to whoever is outside"


def followers(items):
    """Budgets and scalers are of a Deployment; replicas are set by one of the two."""
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in items if item["kind"] == "HorizontalPodAutoscaler"}
    there = {item["metadata"]["name"] for item in deployments(items)}
    yield from (f"{name} is scaled, and is not there" for name in sorted(scaled - there))
    for item in deployments(items):
        if ("replicas" in item["spec"]) == (item["metadata"]["name"] in scaled):
            yield f"{told(item)}: its replicas are set by nobody, or twice"
        labels = item["spec"]["selector"]["matchLabels"]
        if labels.keys() != SELECTOR or item not in selected(items, labels):
            yield f"{told(item)}: does not find its own pods by what never changes"
    for item in items:
        if item["kind"] == "PodDisruptionBudget" and len(selected(items, item["spec"]["selector"]["matchLabels"])) != 1:
            yield f"{told(item)}: is of no Deployment"


def ways(items):
    """Ingresses and routes lead to a Service's port; a ServiceMonitor finds all status Services."""
    ports = {
        item["metadata"]["name"]: {key for port in item["spec"]["ports"] for key in (port["name"], port["port"])}
        for item in items
        if item["kind"] == "Service"
    }
    for item in items:
        targets = []
        if item["kind"] == "Ingress":
            backends = [path["backend"]["service"] for rule in item["spec"]["rules"] for path in rule["http"]["paths"]]
            targets = [(backend["name"], backend["port"]["name"]) for backend in backends]
        if item["kind"] == "HTTPRoute":
            targets = [(backend["name"], backend["port"]) for rule in item["spec"]["rules"] for backend in rule["backendRefs"]]
        for name, port in targets:
            if port not in ports.get(name, ()) or port == "status":
                yield f"{told(item)}: leads to port {port} of {name}, which is not there"
        if item["kind"] == "ServiceMonitor":
            wanted = item["spec"]["selector"]["matchLabels"].items()
            found = [other for other in items if other["kind"] == "Service" and wanted <= other["metadata"]["labels"].items()]
            if len(found) != len(deployments(items)) or any(len(other["spec"]["ports"]) != 1 for other in found):
                yield f"{told(item)}: finds {[told(other) for other in found]}"


def policies(items):
    """Where there is one NetworkPolicy, every pod has its own, for both directions, and its ports are those of the pods."""
    found = [item for item in items if item["kind"] == "NetworkPolicy"]
    for pods in items if found else ():
        if not template(pods):
            continue
        labels = template(pods)["metadata"]["labels"].items()
        own = [item for item in found if item["spec"]["podSelector"]["matchLabels"].items() <= labels]
        if len(own) != 1 or sorted(own[0]["spec"]["policyTypes"]) != ["Egress", "Ingress"]:
            yield f"{told(pods)}: has {len(own)} network policies for both directions, not one"
            continue
        opened = {port["port"] for rule in own[0]["spec"].get("ingress", []) for port in rule["ports"]}
        wanted = {port["containerPort"] for port in template(pods)["spec"]["containers"][0].get("ports", [])}
        if opened != wanted:
            yield f"{told(own[0])}: opens {sorted(opened)}, where pods listen at {sorted(wanted)}"
