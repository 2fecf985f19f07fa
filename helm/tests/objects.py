"""Checks rendered objects: Kubernetes' schemas, the restricted Pod Security Standard, and references between objects."""

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
# The labels of selectors, which upgrades must not change.
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
# The port for health checks and metrics.
STATUS = 8082
# The kinds of volumes that the restricted Pod Security Standard allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def label(item):
    return f"{item['kind']} {item['metadata']['name']}"


def problems(items, kubernetes):
    """Yields all problems."""
    names = [label(item) for item in items]
    yield from (f"{name} is duplicated" for name in sorted(set(names)) if names.count(name) > 1)
    for item in items:
        for problem in (*against_schema(item, kubernetes), *metadata(item), *pod_problems(item)):
            yield f"{label(item)}: {problem}"
    for check in (components, services, scaling, routes, policies):
        yield from check(items)


def against_schema(item, kubernetes):
    """Checks types and unknown fields."""
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
    for name, value in about.get("labels", {}).items():
        if not re.fullmatch(r"(|[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)", value):
            yield f"label {name} has the invalid value {value!r}"
    if item["kind"] == "Service" and len(about["name"]) > 63:
        yield "has a name that is too long"


def template(item):
    return item["spec"]["template"] if item["kind"] in ("Deployment", "Job") else None


def pod_problems(item):
    """Checks the restricted standard, and additional rules."""
    if template(item) is None:
        return
    pod = template(item)["spec"]
    own = pod.get("securityContext", {})
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers")):
        yield "shares a namespace with its node"
    if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0:
        yield "may run as root"
    if own.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if own.keys() & {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile", "supplementalGroups"}:
        yield "has security settings that the standard forbids"
    if pod.get("automountServiceAccountToken") is not False:
        yield "mounts a service account token"
    if pod.get("enableServiceLinks") is not False:
        yield "gets variables for Services, which the program would reject"
    for volume in pod.get("volumes", []):
        if not volume.keys() - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} has a kind that is not allowed"
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
        yield "may write to its root file system"
    if own.get("runAsNonRoot") is False or own.get("runAsUser") == 0 or own.get("procMount", "Default") != "Default":
        yield "overrides the pod's security settings"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "uses a port of its node"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "has no memory limit"
    mounted = [mount["name"] for mount in container.get("volumeMounts", [])]
    if set(mounted) != volumes or len(mounted) != len(volumes):
        yield f"mounts {sorted(mounted)} of the volumes {sorted(volumes)}"
    names = [variable["name"] for variable in container.get("env", [])]
    if len(names) != len(set(names)):
        yield "has a duplicate variable"


def variables(item):
    env = template(item)["spec"]["containers"][0]["env"]
    return {variable["name"]: variable.get("value") for variable in env}


def unknown_options(items, options):
    """Yields variables that are not options of the program, which would refuse to start."""
    for item in items:
        for name in variables(item) if template(item) else ():
            option = name.removeprefix("LOCKKEEPER_").lower().replace("__", ".")
            if name.startswith("LOCKKEEPER_") and name != "LOCKKEEPER_CONFIG" and option not in options:
                yield f"{label(item)}: {name} is not an option of lockkeeper.example.toml"


def deployments(items):
    return [item for item in items if item["kind"] == "Deployment"]


def components(items):
    """Checks that each component serves only its clients, does not migrate at start, and has probes on the status port."""
    if not deployments(items):
        yield "there is no Deployment"
    for item in deployments(items):
        own = item["metadata"]["labels"]["app.kubernetes.io/component"]
        other = {"agents": "managers", "managers": "agents"}[own]
        settings = variables(item)
        container = template(item)["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if settings.get(f"LOCKKEEPER_LISTENERS__{other.upper()}") != "off":
            yield f"{label(item)}: {other} are not off"
        for listener, port in ((own, ports.get("https") or ports.get("http")), ("status", ports.get("status"))):
            if not settings.get(f"LOCKKEEPER_LISTENERS__{listener.upper()}", "").endswith(f":{port}"):
                yield f"{label(item)}: does not listen on its container port for {listener}"
        if settings.get("LOCKKEEPER_DATABASE__MIGRATE") != "false":
            yield f"{label(item)}: migrates at start"
        if own == "agents" and "LOCKKEEPER_AUTH__SIGNING_KEY_FILE" in settings:
            yield f"{label(item)}: has the signing key"
        for probe, path in (("startup", "live"), ("liveness", "live"), ("readiness", "ready")):
            if container.get(f"{probe}Probe", {}).get("httpGet") != {"path": f"/healthz/{path}", "port": "status"}:
                yield f"{label(item)}: the {probe} probe must request /healthz/{path} on the status port"
        stop = [settings.get(f"LOCKKEEPER_{name}", "").removesuffix("s") for name in ("DRAIN_DELAY", "SHUTDOWN_GRACE")]
        grace_period = template(item)["spec"].get("terminationGracePeriodSeconds", 30)
        if not all(seconds.isdigit() for seconds in stop) or grace_period <= sum(map(int, stop)):
            yield f"{label(item)}: may be killed before it has stopped"


def selected(items, labels):
    return [item for item in items if template(item) and labels.items() <= template(item)["metadata"]["labels"].items()]


def services(items):
    """Checks that each Service selects the pods of one Deployment, and an existing port."""
    for item in items:
        if item["kind"] != "Service":
            continue
        found = selected(items, item["spec"]["selector"])
        if item["spec"]["selector"].keys() != SELECTOR:
            yield f"{label(item)}: selects pods by {sorted(item['spec']['selector'])}"
        if len(found) != 1 or found[0]["kind"] != "Deployment":
            yield f"{label(item)}: selects {[label(other) for other in found]}"
            continue
        ports = {port["name"] for port in template(found[0])["spec"]["containers"][0]["ports"]}
        targets = {port["targetPort"] for port in item["spec"]["ports"]}
        yield from (f"{label(item)}: targets the port {port}, which does not exist" for port in sorted(targets - ports))
        if "status" in targets and item["spec"].get("clusterIP") != "None":
            yield f"{label(item)}: exposes metrics outside the cluster"


def scaling(items):
    """Checks that budgets and autoscalers refer to a Deployment, and that replicas are set in one place."""
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in items if item["kind"] == "HorizontalPodAutoscaler"}
    existing = {item["metadata"]["name"] for item in deployments(items)}
    yield from (f"{name} is scaled, but does not exist" for name in sorted(scaled - existing))
    for item in deployments(items):
        if ("replicas" in item["spec"]) == (item["metadata"]["name"] in scaled):
            yield f"{label(item)}: its replicas must be set either in the Deployment or by an autoscaler"
        labels = item["spec"]["selector"]["matchLabels"]
        if labels.keys() != SELECTOR or item not in selected(items, labels):
            yield f"{label(item)}: does not select its own pods by the stable labels"
    for item in items:
        if item["kind"] == "PodDisruptionBudget" and len(selected(items, item["spec"]["selector"]["matchLabels"])) != 1:
            yield f"{label(item)}: selects no single Deployment"


def routes(items):
    """Checks that Ingresses and HTTPRoutes refer to a Service's port, and that a ServiceMonitor selects all status Services."""
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
                yield f"{label(item)}: refers to port {port} of {name}, which does not exist"
        if item["kind"] == "ServiceMonitor":
            wanted = item["spec"]["selector"]["matchLabels"].items()
            found = [other for other in items if other["kind"] == "Service" and wanted <= other["metadata"]["labels"].items()]
            if len(found) != len(deployments(items)) or any(len(other["spec"]["ports"]) != 1 for other in found):
                yield f"{label(item)}: selects {[label(other) for other in found]}"


def policies(items):
    """Checks that, with any NetworkPolicy, every pod has exactly one, for both directions and its own ports. The port for health checks
    and metrics must be open only to listed peers."""
    found = [item for item in items if item["kind"] == "NetworkPolicy"]
    for pods in items if found else ():
        if not template(pods):
            continue
        labels = template(pods)["metadata"]["labels"].items()
        own = [item for item in found if item["spec"]["podSelector"]["matchLabels"].items() <= labels]
        if len(own) != 1 or sorted(own[0]["spec"]["policyTypes"]) != ["Egress", "Ingress"]:
            yield f"{label(pods)}: has {len(own)} network policies, expected one for both directions"
            continue
        rules = own[0]["spec"].get("ingress", [])
        opened = {port["port"] for rule in rules for port in rule["ports"]}
        wanted = {port["containerPort"] for port in template(pods)["spec"]["containers"][0].get("ports", [])}
        if any(port["port"] == STATUS and not rule.get("from") for rule in rules for port in rule["ports"]):
            yield f"{label(own[0])}: opens {STATUS} to all peers"
        if opened | {STATUS} != wanted | {STATUS} or not opened <= wanted:
            yield f"{label(own[0])}: opens {sorted(opened)}, but pods listen on {sorted(wanted)}"
