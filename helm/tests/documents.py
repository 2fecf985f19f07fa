"""Whether what is written about the chart is so: versions, comments, descriptions, the README's table."""

import difflib
import json
import re

import yaml

# What the README's table stands between.
BEGIN, END = "<!-- values: written by UPDATE_GOLDEN=1 scripts/check-chart.sh -->", "<!-- values end -->"


def difference(before, after):
    """The first lines that are not the same."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "golden", "now", lineterm="", n=1)
    shown = list(lines)[:20]
    if shown:
        yield "is not what it was; UPDATE_GOLDEN=1 takes it:\n  " + "\n  ".join(shown)


def options(root):
    """The settings that the program has, by its own example: {"database.url", ...}."""
    found, table = set(), ""
    for line in (root / "lockkeeper.example.toml").read_text().splitlines():
        if header := re.fullmatch(r"\[([a-z_]+)\]", line):
            table = f"{header[1]}."
        elif option := re.match(r"#?([a-z_]+) = ", line):
            found.add(table + option[1])
    return found


def comments(text):
    """The comment above each key of values.yaml, by path."""
    path, said, found = [], [], {}
    for line in text.splitlines():
        if comment := re.fullmatch(r" *# (.*)", line):
            said.append(comment[1])
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            found[".".join(path)] = " ".join(said)
            said = []
        else:
            said = []
    return found


class Schema:
    """values.schema.json, with its references followed."""

    def __init__(self, text):
        self.whole = json.loads(text)

    def follow(self, part):
        reference = part.get("$ref")
        return self.whole["$defs"][reference.rpartition("/")[2]] | part if reference else part

    def values(self, part=None, path=()):
        """Every value: path and schema."""
        for key, value in self.follow(part or self.whole).get("properties", {}).items():
            value = self.follow(value)
            yield ".".join((*path, key)), value
            yield from self.values(value, (*path, key))

    def loose(self, part=None, path="values"):
        """Objects with named properties that take others too, and properties without a description, wherever they are."""
        part = self.whole if part is None else part
        if isinstance(part, list):
            for item in part:
                yield from self.loose(item, path)
        elif isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                if part.get("additionalProperties") is not False:
                    yield f"values.schema.json: {path} takes unknown keys"
                for key, value in part["properties"].items():
                    if not value.get("description"):
                        yield f"values.schema.json: {path}.{key} has no description"
            for key, value in part.items():
                yield from self.loose(value, path if key in ("properties", "items", "$defs") else f"{path}.{key}")


def table(schema, defaults):
    """The README's table: every value that is no group of others."""
    rows = ["| value | default | what |", "|---|---|---|"]
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
    """The value at a path."""
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return MISSING
        values = values[key]
    return values


def problems(root, chart, oldest, update):
    """All of them."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.*)"', (root / "Cargo.toml").read_text(), re.MULTILINE)[1]
    if about["appVersion"] != version:
        yield f"Chart.yaml: appVersion is {about['appVersion']}, the program's version {version}"
    if about["kubeVersion"] != f">={oldest}-0":
        yield f"Chart.yaml: kubeVersion is not the oldest that is checked, {oldest}"

    text = (chart / "values.yaml").read_text()
    defaults, said = yaml.safe_load(text), comments(text)
    schema = Schema((chart / "values.schema.json").read_text())
    yield from schema.loose()
    described = {path: value["description"] for path, value in schema.values() if at(defaults, path) is not MISSING}
    # What stands within such a value (resources, env) is described where it is an example alone.
    inside = {path for path in said if is_within_resources(path)}
    for path in sorted((said.keys() | described.keys()) - inside):
        if path not in described:
            yield f"values.yaml: {path} is not in values.schema.json"
        elif not said.get(path):
            yield f"values.yaml: {path} has no comment"
        elif said[path] != described[path]:
            yield f"values.yaml: {path} says {said[path]!r}, values.schema.json {described[path]!r}"
    for path, value in schema.values():
        if at(defaults, path) is MISSING and not is_within_resources(path):
            yield f"values.yaml: {path} of values.schema.json is missing"

    templates = "".join(file.read_text() for file in sorted((chart / "templates").iterdir()))
    for path in described:
        if path == "global" or is_within_resources(path):
            continue
        # The policies' peers are looked up by the side's name.
        name = re.sub("^(agents|managers)From$", "%sFrom", path.rpartition(".")[2])
        if not re.search(rf"[.\"]{name}\b", templates):
            yield f"values.yaml: {path} is used by no template"

    alerts, source = chart / "alerts.yaml", (root / "docker/prometheus/alerts.yaml").read_text()
    if update:
        alerts.write_text(source)
    elif alerts.read_text() != source:
        yield "alerts.yaml: is not docker/prometheus/alerts.yaml any more; UPDATE_GOLDEN=1 takes that"

    readme = chart / "README.md"
    before = readme.read_text()
    after = re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table(schema, defaults)}\n{END}", before, flags=re.DOTALL)
    if BEGIN not in before or END not in before:
        yield "README.md: has no place for its table"
    elif update:
        readme.write_text(after)
    else:
        yield from (f"README.md {problem}" for problem in difference(before, after))


def is_within_resources(path):
    """Does a value lie within `resources`, whose inside is not the chart's?"""
    return any(part == "resources" for part in path.split(".")[:-1])
