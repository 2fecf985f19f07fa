#!/usr/bin/env bash
# Checks the alerts and the dashboard with Prometheus's tools and docker/prometheus/metrics.txt: rules are valid and fire when they
# should, every expression of the dashboard parses, and only exported metrics and labels are used.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(scripts/cargo-path.sh target-dir)/tmp/dashboards
mkdir -p "$tools"

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
promtool=$(command -v promtool || echo "$tools/prometheus/usr/bin/promtool")
if [ ! -x "$promtool" ]; then
    # Unpacked, not installed: the package would start a server.
    apt-cache show prometheus >/dev/null 2>&1 || "${as_root[@]}" apt-get update -qq
    (cd "$tools" && apt-get download -qq prometheus 2>/dev/null && dpkg -x prometheus_*.deb prometheus) || {
        echo 'cannot download promtool, which checks the alerts: install the package prometheus and try again.' >&2
        exit 1
    }
fi
if ! "$tools/venv/bin/python" -c 'import promql_parser, yaml' 2>/dev/null; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check promql-parser==0.12.0 pyyaml==6.0.3
fi

"$promtool" check config docker/prometheus/prometheus.yml >"$tools/log" 2>&1 || { cat "$tools/log" >&2; exit 1; }
"$promtool" test rules docker/prometheus/alerts_test.yaml >"$tools/log" 2>&1 || { cat "$tools/log" >&2; exit 1; }
echo "alerts: valid, and they fire when they should ($("$promtool" --version 2>&1 | head -n 1 | cut -d' ' -f1-3))"

"$tools/venv/bin/python" - "$tools/expressions.yaml" <<'PYTHON'
import json, pathlib, re, sys
import promql_parser as promql, yaml

wrong = []
metrics = {}
for number, line in enumerate(open("docker/prometheus/metrics.txt"), 1):
    if line.strip() and not line.startswith("#"):
        match = re.fullmatch(r"([a-z_]+)\{((?:[a-z_]+,)*[a-z_]+|)\}\n", line)
        if not match or match[1] in metrics:
            wrong.append(f"metrics.txt:{number}: not name{{label,label}}, or a duplicate: {line.strip()}")
        else:
            metrics[match[1]] = set(filter(None, match[2].split(",")))
# The labels that Prometheus adds to scraped metrics, and its own metrics.
SCRAPED = {"job", "instance"}
OWN = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}


def selected(selector, where):
    name = selector.name or "(no name)"
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    labels = metrics.get(name, metrics.get(base, OWN.get(name)))
    if labels is None:
        wrong.append(f"{where}: {name} is not in metrics.txt")
        return set(SCRAPED)
    used.add(name if name in metrics else base)
    labels = labels | SCRAPED | ({"le"} if name.endswith("_bucket") and name not in metrics else set())
    known(labels, [matcher.name for matcher in selector.matchers.matchers], f"{where}: {name}")
    return labels


def known(labels, wanted, where):
    wrong.extend(f"{where} has no label {label}" for label in wanted if label not in labels)


def labels_of(node, where):
    """Returns the labels that an expression's results may have, and reports unknown labels in it."""
    match node:
        case promql.VectorSelector():
            return selected(node, where)
        case promql.MatrixSelector():
            return selected(node.vector_selector, where)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return labels_of(node.expr, where)
        case promql.Call():
            found = set().union(*(labels_of(each, where) for each in node.args))
            return found - {"le"} if node.func.name == "histogram_quantile" else found
        case promql.AggregateExpr():
            found = labels_of(node.expr, where)
            if node.modifier is None:
                return set()
            known(found, node.modifier.labels, f"{where}: {node.op} of what")
            by = node.modifier.type == promql.AggModifierType.By
            return set(node.modifier.labels) if by else found - set(node.modifier.labels)
        case promql.BinaryExpr():
            left, right = labels_of(node.lhs, where), labels_of(node.rhs, where)
            matching = node.modifier and node.modifier.matching
            if matching:
                known(left, matching.labels, f"{where}: the left of {node.op}")
                known(right, matching.labels, f"{where}: the right of {node.op}")
            if node.modifier and node.modifier.card == promql.VectorMatchCardinality.OneToMany:
                return right
            return left or right
        case _:
            return set()


used, expressions = set(), []


def check(text, where):
    plain = text.replace("$__rate_interval", "5m").replace("$__interval", "1m").replace("$__range", "1h")
    for variable in set(re.findall(r"\$\{?(\w+)", plain)):
        if variable not in variables:
            wrong.append(f"{where}: unknown variable {variable}")
    plain = re.sub(r"\$\{?\w+\}?", "x", plain)
    expressions.append({"record": f"check:{len(expressions)}", "expr": plain})
    try:
        return labels_of(promql.parse(plain), where)
    except ValueError as error:
        wrong.append(f"{where}: {error}: {plain}")
        return set()


variables = set()
# The alerts that the tests expect to fire.
tested = set(re.findall(r'labels: .ALERTS\{alertname="(\w+)"', open("docker/prometheus/alerts_test.yaml").read()))
alerts = [rule for group in yaml.safe_load(open("docker/prometheus/alerts.yaml"))["groups"] for rule in group["rules"]]
for rule in alerts:
    name, notes = rule["alert"], rule.get("annotations", {})
    labels = check(rule["expr"], name)
    if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
        wrong.append(f"{name}: severity must be critical or warning")
    for wanted in ("summary", "description", "runbook"):
        if not notes.get(wanted):
            wrong.append(f"{name}: has no {wanted}")
    known(labels, re.findall(r"\$labels\.(\w+)", " ".join(notes.values())), f"{name}: an annotation's result")
    runbook = pathlib.Path(notes.get("runbook", ""))
    if runbook.parent != pathlib.Path("docs/how-to/troubleshoot") or not runbook.is_file():
        wrong.append(f"{name}: its runbook is not a page of docs/how-to/troubleshoot")
    elif f"`{name}`" not in runbook.read_text():
        wrong.append(f"{name}: its runbook {runbook} does not name it")
    if name not in tested:
        wrong.append(f"{name}: alerts_test.yaml does not expect it to fire anywhere")

dashboard = json.load(open("docker/grafana/dashboards/lockkeeper.json"))
variables = {each["name"] for each in dashboard["templating"]["list"]}
for name in ("datasource", "job", "product", "stream", "instance"):
    if name not in variables:
        wrong.append(f"dashboard: has no variable {name}")
for each in dashboard["templating"]["list"]:
    if each["type"] == "query":
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", each["query"]["query"])
        if not match:
            wrong.append(f"variable {each['name']}: is not label_values(metric, label)")
        else:
            known(check(match[1], f"variable {each['name']}"), [match[2]], f"variable {each['name']}")
for each in dashboard["annotations"]["list"]:
    if "expr" in each:
        check(each["expr"], f"annotation {each['name']}")
if set(re.findall(r'"type": "prometheus", "uid": "([^"]*)"', json.dumps(dashboard, sort_keys=True))) != {"${datasource}"}:
    wrong.append("dashboard: a query does not use ${datasource}")
panels = dashboard["panels"]
rows = [panel["title"] for panel in panels if panel["type"] == "row"]
for name in ("Polls", "Rollouts", "Catalog", "Database", "API", "Process"):
    if name not in rows:
        wrong.append(f"dashboard: has no row {name}")
if len({panel["id"] for panel in panels}) != len(panels):
    wrong.append("dashboard: two panels have the same id")
taken = {}
for panel in panels:
    where, place = f"panel {panel['title']}", panel["gridPos"]
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            if x > 23 or taken.setdefault((x, y), panel["id"]) != panel["id"]:
                wrong.append(f"{where}: overlaps another panel or the edge")
                break
    if panel["type"] == "row":
        continue
    if not panel.get("description") or not panel["fieldConfig"]["defaults"].get("unit"):
        wrong.append(f"{where}: has no description or unit")
    if not panel["targets"]:
        wrong.append(f"{where}: has no query")
    for target in panel["targets"]:
        labels = check(target["expr"], where)
        known(labels, re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]), f"{where}: its legend's result")

# The expressions for service levels in the docs.
queries = 0
for page in sorted(pathlib.Path("docs").rglob("*.md")):
    for block in re.findall(r"^```promql\n(.*?)^```$", page.read_text(), re.M | re.S):
        for text in re.split(r"^#.*\n", block, flags=re.M):
            if text.strip():
                check(text, f"{page}: {text.strip().splitlines()[0]}")
                queries += 1
if not queries:
    wrong.append("docs: no page has expressions for service levels")

yaml.safe_dump({"groups": [{"name": "expressions", "rules": expressions}]}, open(sys.argv[1], "w"))
if wrong:
    sys.exit("\n".join(wrong))
print(f"dashboard: {len(panels) - len(rows)} panels and {len(alerts)} alerts use {len(used & set(metrics))} of {len(metrics)} metrics")
if unused := set(metrics) - used:
    print(f"unused metrics: {', '.join(sorted(unused))}")
PYTHON
"$promtool" check rules "$tools/expressions.yaml" >"$tools/log" 2>&1 || { cat "$tools/log" >&2; exit 1; }
echo "dashboard: Prometheus accepts every expression"
