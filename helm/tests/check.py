"""Renders the chart with several sets of values, and checks the output against golden files, schemas and rules."""

import os
import re
import sys
from pathlib import Path

import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError

import documents
import invalid_values
import objects

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/lockkeeper"
GOLDEN = ROOT / "helm/golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
# The oldest and the newest Kubernetes that the chart is checked against; Chart.yaml names the first.
KUBERNETES = ("1.27.0", "1.37.0")
# The release that the golden files are rendered for.
RELEASE = {"name": "lockkeeper", "namespace": "updates"}


class Loader(yaml.SafeLoader):
    """Rejects duplicate keys, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        duplicates = {str(key) for key in keys if keys.count(key) > 1}
        if duplicates:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate keys: {', '.join(sorted(duplicates))}", node.start_mark)
        return super().construct_mapping(node, deep)


class Rendered:
    """The output for one set of values."""

    def __init__(self, chart, values, **release):
        texts = chart.render(values=values, **RELEASE | release)
        self.notes = next(text for path, text in texts.items() if path.endswith("/NOTES.txt"))
        self.text = ""
        self.objects = []
        for path, text in sorted(texts.items()):
            for document in re.split(r"^---$", text, flags=re.MULTILINE) if path.endswith(".yaml") else []:
                if item := yaml.load(document, Loader):
                    lines = [line.rstrip() for line in document.strip().splitlines()]
                    self.text += "\n".join(["---", f"# {path.partition('/')[2]}", *lines, ""])
                    self.objects.append(item)

    def problems(self):
        """Returns the problems of the output."""
        for text in ("<no value>", "%!"):
            if text in self.text + self.notes:
                yield f"contains {text}"
        yield from objects.problems(self.objects, KUBERNETES)


def golden(name, text):
    """Compares with the golden file, or writes it."""
    file = GOLDEN / f"{name}.yaml"
    if UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    elif not file.exists():
        yield "has no golden file; UPDATE_GOLDEN=1 writes it"
    else:
        yield from documents.difference(file.read_text(), text)


def upgrade(chart, values):
    """Checks that migrations run before the pods that need them, in an install and in an upgrade."""
    hooks = {}
    for phase in ("install", "upgrade"):
        rendered = Rendered(chart, values, is_install=phase == "install", is_upgrade=phase == "upgrade")
        jobs = [item for item in rendered.objects if item["kind"] == "Job"]
        if len(jobs) != 1:
            yield f"has {len(jobs)} migration Jobs in an {phase}, expected one"
            return
        hooks[phase] = jobs[0]["metadata"].get("annotations", {}).get("helm.sh/hook")
        yield from (f"in an {phase}: {problem}" for problem in rendered.problems())
    cluster = values.get("cnpg", {}).get("enabled", False)
    wanted = (None, "pre-upgrade") if cluster else ("pre-install,pre-upgrade",) * 2
    if tuple(hooks.values()) != wanted:
        yield f"migrates at {hooks}, expected {wanted}"


def main():
    problems = []

    def report(where, found):
        problems.extend(f"{where}: {problem}" for problem in found)

    sets = {file.stem: yaml.load(file.read_text(), Loader) for file in sorted((CHART / "ci").glob("*.yaml"))}
    count = 0
    with Chart.load(CHART) as chart:
        report("documents", documents.problems(ROOT, CHART, KUBERNETES[0], UPDATE))
        options = documents.options(ROOT)
        for name, values in sets.items():
            for kubernetes in KUBERNETES:
                lint_report = lint(CHART, values, strict=True, kube_version=f"v{kubernetes}")
                # 1 is a recommendation: an icon.
                report(f"{name}, lint", (found["error"] for found in lint_report["messages"] if found["severity"] != 1))
                report(f"{name}, lint", lint_report["errors"])
            try:
                rendered = Rendered(chart, values)
                report(name, rendered.problems())
                report(name, objects.unknown_options(rendered.objects, options))
                report(name, golden(name, rendered.text))
                report(name, upgrade(chart, values))
                count += len(rendered.objects)
            except (HelmError, yaml.YAMLError) as error:
                report(name, [str(error)])
        report("golden", (f"{file.name} belongs to no set of values" for file in GOLDEN.glob("*.yaml") if file.stem not in sets))
        rejected, found = invalid_values.problems(chart, sets["external"])
        report("invalid values", found)

    if problems:
        print("\n".join(problems), file=sys.stderr)
        print(f"chart: {len(problems)} problems", file=sys.stderr)
        return 1
    print(f"chart: {len(sets)} value sets, {count} objects, {rejected} invalid values rejected, no problems")
    return 0


if __name__ == "__main__":
    sys.exit(main())
