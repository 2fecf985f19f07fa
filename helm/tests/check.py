"""Renders the chart's sets of values, and holds what comes out against golden files, schemas and rules."""

import os
import re
import sys
from pathlib import Path

import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError

import documents
import objects
import refusals

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/lockkeeper"
GOLDEN = ROOT / "helm/golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
# The oldest and the newest Kubernetes that the chart is held against; Chart.yaml names the first.
KUBERNETES = ("1.27.0", "1.37.0")
# Where the golden objects are.
RELEASE = {"name": "lockkeeper", "namespace": "updates"}


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(sorted(twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


class Rendered:
    """What one set of values makes."""

    def __init__(self, chart, values, **release):
        texts = chart.render(values=values, **RELEASE | release)
        self.notes = next(text for path, text in texts.items() if path.endswith("/NOTES.txt"))
        self.text = ""
        self.objects = []
        for path, text in sorted(texts.items()):
            for document in re.split(r"^---$", text, flags=re.MULTILINE) if path.endswith(".yaml") else []:
                if made := yaml.load(document, Loader):
                    lines = [line.rstrip() for line in document.strip().splitlines()]
                    self.text += "\n".join(["---", f"# {path.partition('/')[2]}", *lines, ""])
                    self.objects.append(made)

    def problems(self):
        """What is wrong with it, by itself."""
        for said in ("<no value>", "%!"):
            if said in self.text + self.notes:
                yield f"has {said}"
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
    """Migrations come before the pods that need them, in an install and in an upgrade."""
    hooks = {}
    for phase in ("install", "upgrade"):
        rendered = Rendered(chart, values, is_install=phase == "install", is_upgrade=phase == "upgrade")
        jobs = [item for item in rendered.objects if item["kind"] == "Job"]
        if len(jobs) != 1:
            yield f"has {len(jobs)} migrating Jobs in an {phase}, not one"
            return
        hooks[phase] = jobs[0]["metadata"].get("annotations", {}).get("helm.sh/hook")
        yield from (f"in an {phase}: {problem}" for problem in rendered.problems())
    cluster = values.get("cnpg", {}).get("enabled", False)
    wanted = (None, "pre-upgrade") if cluster else ("pre-install,pre-upgrade",) * 2
    if tuple(hooks.values()) != wanted:
        yield f"migrates at {hooks}, not at {wanted}"


def main():
    problems = []

    def note(where, found):
        problems.extend(f"{where}: {problem}" for problem in found)

    sets = {file.stem: yaml.load(file.read_text(), Loader) for file in sorted((CHART / "ci").glob("*.yaml"))}
    count = 0
    with Chart.load(CHART) as chart:
        note("documents", documents.problems(ROOT, CHART, KUBERNETES[0], UPDATE))
        options = documents.options(ROOT)
        for name, values in sets.items():
            for kubernetes in KUBERNETES:
                report = lint(CHART, values, strict=True, kube_version=f"v{kubernetes}")
                # 1 is a recommendation: an icon.
                note(f"{name}, lint", (found["error"] for found in report["messages"] if found["severity"] != 1))
                note(f"{name}, lint", report["errors"])
            try:
                rendered = Rendered(chart, values)
                note(name, rendered.problems())
                note(name, objects.unknown_options(rendered.objects, options))
                note(name, golden(name, rendered.text))
                note(name, upgrade(chart, values))
                count += len(rendered.objects)
            except (HelmError, yaml.YAMLError) as error:
                note(name, [str(error)])
        note("golden", (f"{file.name} is of no set" for file in GOLDEN.glob("*.yaml") if file.stem not in sets))
        refused, found = refusals.problems(chart, sets["external"])
        note("wrong values", found)

    if problems:
        print("\n".join(problems), file=sys.stderr)
        print(f"chart: {len(problems)} problems", file=sys.stderr)
        return 1
    print(f"chart: {len(sets)} value sets, {count} objects, {refused} wrong values refused, all well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
