"""Checks the chart's documentation: versions, comments, descriptions, the README's table."""

import difflib
import json
import re

import yaml

# The markers around the README's table.
BEGIN, END = "<!-- values: written by UPDATE_GOLDEN=1 scripts/check-chart.sh -->", "<!-- values end -->"


def difference(before, after):
    """Yields the first lines that differ."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "golden", "now", lineterm="", n=1)
    shown = list(lines)[:20]
    if shown:
        yield "differs; UPDATE_GOLDEN=1 accepts it:\n  " + "\n  ".join(shown)


def options(root):
    """Returns the program's settings, from its example: {"database.url", ...}."""
    found, table = set(), ""
    for line in (root / "lockkeeper.example.toml").read_text().splitlines():
        if header := re.fullmatch(r"\[([a-z_]+)\]", line):
            table = f"{header[1]}."
        elif option := re.match(r"#?([a-z_]+) = ", line):
            found.add(table + option[1])
    return found


def comments(text):
    """Returns the comment above each key of values.yaml, by path."""
    path, comment_lines, found = [], [], {}
    for line in text.splitlines():
        if comment := re.fullmatch(r" *# (.*)", line):
            comment_lines.append(comment[1])
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            found[".".join(path)] = " ".join(comment_lines)
            comment_lines = []
        else:
            comment_lines = []
    return found


class Schema:
    """values.schema.json, with resolved references."""

    def __init__(self, text):
        self.document = json.loads(text)

    def follow(self, part):
        reference = part.get("$ref")
        return self.document["$defs"][reference.rpartition("/")[2]] | part if reference else part

    def values(self, part=None, path=()):
        """Yields the path and schema of every value."""
        for key, value in self.follow(part or self.document).get("properties", {}).items():
            value = self.follow(value)
            yield ".".join((*path, key)), value
            yield from self.values(value, (*path, key))

    def loose(self, part=None, path="values"):
        """Yields objects that accept unknown properties, and properties without a description."""
        part = self.document if part is None else part
        if isinstance(part, list):
            for item in part:
                yield from self.loose(item, path)
        elif isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                if part.get("additionalProperties") is not False:
                    yield f"values.schema.json: {path} accepts unknown keys"
                for key, value in part["properties"].items():
                    if not value.get("description"):
                        yield f"values.schema.json: {path}.{key} has no description"
            for key, value in part.items():
                yield from self.loose(value, path if key in ("properties", "items", "$defs") else f"{path}.{key}")


def table(schema, defaults):
    """Returns the README's table: every value that is not a group of others."""
    rows = ["| value | default | description |", "|---|---|---|"]
    paths = dict(schema.values())
    for path, value in paths.items():
        if any(other.startswith(f"{path}.") and at(defaults, other) is not MISSING for other in paths):
            continue
        default = at(defaults, path)
        if default is MISSING:
            continue
        rows.append(f"| `{path}` | `{json.dumps(default)}` | {value['description'].replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


MISSING = object()


def at(values, path):
    """Returns the value at a path."""
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return MISSING
        values = values[key]
    return values


def problems(root, chart, oldest, update):
    """Yields all problems."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.*)"', (root / "Cargo.toml").read_text(), re.MULTILINE)[1]
    if about["appVersion"] != version:
        yield f"Chart.yaml: appVersion is {about['appVersion']}, the program's version {version}"
    if about["kubeVersion"] != f">={oldest}-0":
        yield f"Chart.yaml: kubeVersion must be the oldest checked version, {oldest}"

    text = (chart / "values.yaml").read_text()
    defaults, documented = yaml.safe_load(text), comments(text)
    schema = Schema((chart / "values.schema.json").read_text())
    yield from schema.loose()
    described = {path: value["description"] for path, value in schema.values() if at(defaults, path) is not MISSING}
    # Keys inside `resources` are not the chart's, and need no description.
    inside = {path for path in documented if is_within_resources(path)}
    for path in sorted((documented.keys() | described.keys()) - inside):
        if path not in described:
            yield f"values.yaml: {path} is not in values.schema.json"
        elif not documented.get(path):
            yield f"values.yaml: {path} has no comment"
        elif documented[path] != described[path]:
            yield f"values.yaml: {path} says {documented[path]!r}, values.schema.json {described[path]!r}"
    for path, value in schema.values():
        if at(defaults, path) is MISSING and not is_within_resources(path):
            yield f"values.yaml: {path} of values.schema.json is missing"

    templates = "".join(file.read_text() for file in sorted((chart / "templates").iterdir()))
    for path in described:
        if path == "global" or is_within_resources(path):
            continue
        # Templates build these names from the component's name.
        name = re.sub("^(agents|managers)From$", "%sFrom", path.rpartition(".")[2])
        if not re.search(rf"[.\"]{name}\b", templates):
            yield f"values.yaml: {path} is used by no template"

    alerts, source = chart / "alerts.yaml", (root / "docker/prometheus/alerts.yaml").read_text()
    if update:
        alerts.write_text(source)
    elif alerts.read_text() != source:
        yield "alerts.yaml: differs from docker/prometheus/alerts.yaml; UPDATE_GOLDEN=1 copies it"

    readme = chart / "README.md"
    before = readme.read_text()
    after = re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table(schema, defaults)}\n{END}", before, flags=re.DOTALL)
    if BEGIN not in before or END not in before:
        yield "README.md: the markers of the table are missing"
    elif update:
        readme.write_text(after)
    else:
        yield from (f"README.md {problem}" for problem in difference(before, after))


def is_within_resources(path):
    """Returns true for a path inside `resources`."""
    return any(part == "resources" for part in path.split(".")[:-1])
