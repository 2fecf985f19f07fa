"""Values that the chart must reject, each with a part of the error message."""

from helm_python.errors import HelmError

# Merged over valid values: the invalid values, and a part of the message.
INVALID = [
    # By the schema:
    ({"replicaCount": 3}, "replicaCount"),
    ({"agents": {"replica": 3}}, "replica"),
    ({"agents": {"replicas": "three"}}, "integer"),
    ({"agents": {"service": {"type": "Public"}}}, "LoadBalancer"),
    ({"agents": {"podDisruptionBudget": {"maxUnavailable": "half"}}}, "maxUnavailable"),
    ({"agents": {"resources": {"cpu": "1"}}}, "cpu"),
    ({"agents": {"env": [{"name": "LOCKKEEPER_LISTENERS__MANAGERS", "value": "0.0.0.0:8080"}]}}, "not"),
    ({"agents": {"env": [{"name": "lockkeeper_listeners__managers", "value": "0.0.0.0:8080"}]}}, "pattern"),
    ({"managers": {"podLabels": {"app.kubernetes.io/component": "agents"}}}, "not"),
    ({"agents": {"ingress": {"hosts": ["https://updates.example.org/"]}}}, "pattern"),
    ({"managers": {"httpRoute": {"parentRefs": [{"namespace": "gateways"}]}}}, "name"),
    ({"image": {"digest": "sha256:0123"}}, "digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "IfNotPresent"),
    ({"cnpg": {"instances": 0}}, "minimum"),
    ({"security": {"runAsUser": 0}}, "minimum"),
    ({"stop": {"drainSeconds": "10s"}}, "integer"),
    ({"networkPolicy": {"databasePort": 70000}}, "maximum"),
    ({"config": ["log.format"]}, "string"),
    ({"bindAddress": "localhost"}, "pattern"),
    # By the templates: each value is valid, but the combination is not.
    ({"database": {"existingSecret": ""}}, "a Secret with the database's URL"),
    ({"cnpg": {"enabled": True}}, "set only one of them"),
    ({"agents": {"enabled": False}, "managers": {"enabled": False}}, "nothing to install"),
    ({"managers": {"replicas": 2}}, "openssl genpkey -algorithm ed25519"),
    ({"managers": {"autoscaling": {"enabled": True}}}, "openssl genpkey -algorithm ed25519"),
    ({"agents": {"autoscaling": {"enabled": True, "minReplicas": 20}}}, "greater than maxReplicas"),
    ({"agents": {"service": {"externalTrafficPolicy": "Local"}}}, "type ClusterIP"),
    ({"agents": {"ingress": {"enabled": True}}}, "agents.ingress.hosts"),
    ({"agents": {"httpRoute": {"enabled": True}}}, "agents.httpRoute.parentRefs"),
    ({"networkPolicy": {"enabled": True}, "serviceMonitor": {"enabled": True}}, "networkPolicy.statusFrom"),
]


def merge(values, changes):
    """Merges two sets of values; the second overrides the first."""
    merged = dict(values)
    for key, value in changes.items():
        merged[key] = merge(merged.get(key, {}), value) if isinstance(value, dict) and value else value
    return merged


def problems(chart, good):
    """Returns the number of rejected sets, and the problems."""
    found = []
    for invalid, message in INVALID:
        try:
            chart.render(values=merge(good, invalid))
        except HelmError as error:
            if message not in str(error):
                found.append(f"{invalid} is rejected without the message {message!r}: {error}")
        else:
            found.append(f"{invalid} is accepted")
    return len(INVALID) - len(found), found
