"""Values that have to be refused, each with what has to be said of it."""

from helm_python.errors import HelmError

# Laid over a good set: what, and a part of the message.
WRONG = [
    # By the schema.
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
    # By the templates: each is right, and together they are wrong.
    ({"database": {"existingSecret": ""}}, "name a Secret with the database's URL"),
    ({"cnpg": {"enabled": True}}, "one database only"),
    ({"agents": {"enabled": False}, "managers": {"enabled": False}}, "nothing to install"),
    ({"managers": {"replicas": 2}}, "openssl genpkey -algorithm ed25519"),
    ({"managers": {"autoscaling": {"enabled": True}}}, "openssl genpkey -algorithm ed25519"),
    ({"agents": {"autoscaling": {"enabled": True, "minReplicas": 20}}}, "more than maxReplicas"),
    ({"agents": {"service": {"externalTrafficPolicy": "Local"}}}, "ClusterIP has none"),
    ({"agents": {"ingress": {"enabled": True}}}, "agents.ingress.hosts"),
    ({"agents": {"httpRoute": {"enabled": True}}}, "agents.httpRoute.parentRefs"),
]


def laid_over(values, wrong):
    """Both, the second winning."""
    both = dict(values)
    for key, value in wrong.items():
        both[key] = laid_over(both.get(key, {}), value) if isinstance(value, dict) and value else value
    return both


def problems(chart, good):
    """How many were refused, and what was not."""
    found = []
    for wrong, message in WRONG:
        try:
            chart.render(values=laid_over(good, wrong))
        except HelmError as error:
            if message not in str(error):
                found.append(f"{wrong} is refused without saying {message!r}: {error}")
        else:
            found.append(f"{wrong} is taken")
    return len(WRONG) - len(found), found
