"""Existing files, make targets, settings, and commands and flags of the program."""

import functools
import json
import os
import re
import subprocess
from pathlib import Path

from .documents import PROJECT, Document, Failed

# Endings of file names that look like settings.
FILE_ENDINGS = {"crt", "json", "log", "md", "pem", "py", "rs", "sh", "toml", "yaml", "yml"}

RULE = re.compile(r"^([a-z][\w -]*):(?!=)([^\n#]*)[^\n]*\n((?:\t[^\n]*\n?)*)", re.M)
# Inline code that names a metric, an alert, or an operation of the API (`...` is the path of a stream, a release or a product).
METRIC = re.compile(r"(?:lockkeeper|http_server|db_client|process)_[a-z_]+")
ALERT = re.compile(r"Lockkeeper[A-Z]\w+")
OPERATION = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (\.\.\.|/api/v1)(/[^\s?]*)?(?:\?\S*)?")
# Inline code that names a file of the tree. Without `streams/`, since upstream has a folder of that name.
TREE_FILE = re.compile(r"((?:\.ci|attack|docker|docs|helm|load|migrations|openapi|scripts|src|systemd|tests)/[\w./-]*)(?: |$)")


class Facts:
    """Checks documents against these facts."""

    def __init__(self, binary):
        self.binary = binary
        listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=60).stdout
        self.files = [name for name in names.split("\0") if name and (PROJECT / name).is_file()]
        self.targets = {
            name: f"make {needs}\n{recipe}"
            for names, needs, recipe in RULE.findall((PROJECT / "Makefile").read_text())
            for name in names.split()
        }
        self.settings = set()
        table = ""
        for line in (PROJECT / "lockkeeper.example.toml").read_text().splitlines():
            if match := re.match(r"#?\[+([\w.]+)\]", line):
                table = match[1]
                self.settings.add(table)
            elif match := re.match(r"#(\w+) =", line):
                self.settings.add(f"{table}.{match[1]}".lstrip("."))
        self.metrics = set(re.findall(r"^(\w+)\{", (PROJECT / "docker/prometheus/metrics.txt").read_text(), re.M))
        rules = re.findall(r"- alert: (\w+)\n.*?runbook: \"([^\"]*)\"", (PROJECT / "docker/prometheus/alerts.yaml").read_text(), re.S)
        self.alerts = {(name, runbook) for name, runbook in rules}
        paths = json.loads((PROJECT / "openapi/lockkeeper.v1.json").read_text())["paths"]
        self.operations = {(method.upper(), path) for path, methods in paths.items() for method in methods}

    @functools.cache
    def help(self, *path):
        """Returns the subcommands of a command, and its flags."""
        ran = subprocess.run([self.binary, *path, "--help"], capture_output=True, text=True, timeout=60)
        if ran.returncode != 0:
            raise Failed(f"lockkeeper {' '.join(path)} --help: {ran.stderr.strip()}")
        below = ran.stdout.partition("\nCommands:\n")[2].partition("\n\n")[0]
        return re.findall(r"^  ([a-z]\S*)", below, re.M), re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", ran.stdout, re.M)

    def check_command(self, place, words):
        """Checks that commands (`a|b` means two) and flags exist."""
        path = []
        while words and self.help(*path)[0] and re.fullmatch(r"[a-z][a-z|-]*", words[0]):
            alternatives = words.pop(0).split("|")
            if unknown := set(alternatives) - set(self.help(*path)[0]):
                raise Failed(f"{place}: lockkeeper {' '.join([*path, *unknown])}: unknown command")
            path.append(alternatives[0])
        for word in words[: words.index("--") if "--" in words else None]:
            flag = re.match(r"\[?(--[a-z-]+)", word)
            if flag and flag[1] not in self.help(*path)[1]:
                raise Failed(f"{place}: lockkeeper {' '.join([*path, flag[1]])}: unknown flag")

    def check_span(self, place, span):
        """Checks inline code that mentions something of this project. Returns true if it does."""
        if span.startswith("lockkeeper "):
            self.check_command(place, re.split(r" [|&;>]", span)[0].split()[1:])
        elif re.match(r"(?:[A-Z_]+=\S+ )*make [a-z]", span):
            self.check_targets(place, span)
        elif match := re.fullmatch(r"([a-z_]+)((?:\.[a-z_]+)+)(?: = .*)?", span):
            name, ending = match[1] + match[2], match[2].rpartition(".")[2]
            is_setting = match[1] in self.settings and (name in self.settings or ending not in FILE_ENDINGS)
            if is_setting and name not in self.settings:
                raise Failed(f"{place}: lockkeeper.example.toml has no setting {name}")
            return is_setting
        elif METRIC.fullmatch(span):
            self.check_metric(place, span)
        elif ALERT.fullmatch(span):
            if span not in {name for name, _ in self.alerts}:
                raise Failed(f"{place}: alerts.yaml has no alert {span}")
        elif match := OPERATION.fullmatch(span):
            self.check_operation(place, match)
        elif match := TREE_FILE.match(span):
            self.check_file(place, match[1].rstrip("/"), span)
        else:
            return False
        return True

    def check_metric(self, place, name):
        if name not in self.metrics and re.sub(r"_(bucket|sum|count)$", "", name) not in self.metrics:
            raise Failed(f"{place}: metrics.txt has no metric {name}")

    def check_operation(self, place, match):
        method, start, end = match[1], match[2], match[3] or ""
        path = re.sub(r"\{[^}]*\}", "{}", end if start == "..." else start + end)
        for known, described in self.operations:
            described = re.sub(r"\{[^}]*\}", "{}", described)
            if method == known and (described.endswith(path) if start == "..." else described == path):
                return
        raise Failed(f"{place}: {match[0]}: openapi/lockkeeper.v1.json has no such operation")

    def check_complete(self, documents):
        """Checks that the reference is complete, and that every page can be reached from the README."""
        spans = {document.name: {span for _, span in document.spans()} for document in documents}
        for name, known in (
            ("docs/reference/configuration.md", self.settings),
            ("docs/reference/metrics.md", self.metrics),
            ("docs/reference/command-line.md", {f"lockkeeper {' '.join(path)}" for path in self.commands()}),
        ):
            described = {re.sub(r" --.*", "", span) for span in spans[name]}
            tables = {setting.rpartition(".")[0] for setting in known}
            for fact in sorted(known - tables):
                # Settings of an issuer are described by their last names.
                if not {fact, fact.removeprefix("auth.issuers.rules."), fact.removeprefix("auth.issuers.")} & described:
                    raise Failed(f"{name}: does not describe {fact}")
        for alert, runbook in sorted(self.alerts):
            page, _, anchor = runbook.partition("#")
            self.check_link(f"{alert}'s runbook", runbook)
            if alert not in spans.get(page, ()):
                raise Failed(f"{page}: is the runbook of {alert}, and does not name it")
        self.check_reachable(documents)

    def commands(self, *path):
        below = [name for name in self.help(*path)[0] if name != "help"]
        if not below:
            yield path
        for name in below:
            yield from self.commands(*path, name)

    def check_reachable(self, documents):
        pages = {document.name: document for document in documents}
        reached, ahead = set(), ["README.md"]
        while ahead:
            name = ahead.pop()
            if name in reached:
                continue
            reached.add(name)
            for _, link in pages[name].links() if name in pages else ():
                target = os.path.normpath(Path(name).parent / link.partition("#")[0])
                ahead += [page for page in pages if page == target or page.startswith(f"{target}/")]
        if missed := sorted(set(pages) - reached):
            raise Failed(f"{missed[0]}: no page that is linked from the README leads there")

    def check_targets(self, place, text):
        for words in re.findall(r"(?:^|[;&|] *|=\S+ )make((?: +[a-z][\w-]*(?!\S))+)", text, re.M):
            for target in set(words.split()) - set(self.targets):
                raise Failed(f"{place}: make {target}: the Makefile has no such target")

    def check_unexecuted(self, block):
        """Checks the names in commands that are not executed."""
        commands = re.sub(r"\\\n", " ", block.text)
        self.check_targets(block.place, commands)
        for command in re.findall(r"(?<![\w.-])lockkeeper +(?=([a-z][^\n|;&>)#]*))", commands):
            # The word may also name something else: a user, a chart, a unit.
            if command.split()[0] in self.help()[0]:
                self.check_command(block.place, command.split())
        if block.kind == "by make" and block.reason not in self.made_by_ci():
            raise Failed(f"{block.place}: .ci/run does not run make {block.reason}")

    def made_by_ci(self):
        found, ahead = set(), [(PROJECT / ".ci/run").read_text()]
        while ahead:
            for words in re.findall(r"^[^#\n]*?(?:\bmake|\$\(MAKE\))((?: +[\w./=-]+)+)", ahead.pop(), re.M):
                new = set(words.split()) & set(self.targets) - found
                found |= new
                ahead += [self.targets[target] for target in new]
        return found

    def check_link(self, place, link):
        if re.match(r"[a-z]+:|//", link):
            return False
        path, _, anchor = link.partition("#")
        document = place.partition(":")[0]
        target = os.path.normpath(Path(document).parent / path) if path else document
        self.check_file(place, target, link)
        if anchor and not (target.endswith(".md") and anchor in Document(PROJECT / target).anchors()):
            raise Failed(f"{place}: {link}: no such heading")
        return True

    def check_file(self, place, path, text):
        """Checks that a file or folder is in the tree."""
        if path not in self.files and not any(name.startswith(f"{path}/") for name in self.files):
            raise Failed(f"{place}: {text}: no such file")
