"""What is there to be spoken of: files, make targets, settings, and the program's commands and flags."""

import functools
import os
import re
import subprocess
from pathlib import Path

from .documents import PROJECT, Document, Failed

# What ends a name that looks like a setting and is a file.
FILE_ENDINGS = {"crt", "json", "log", "md", "pem", "py", "rs", "sh", "toml", "yaml", "yml"}

RULE = re.compile(r"^([a-z][\w -]*):(?!=)([^\n#]*)[^\n]*\n((?:\t[^\n]*\n?)*)", re.M)
# Inline code that names a file of the tree. `streams/` is left out, for upstream has a folder of that name.
OURS = re.compile(r"((?:\.ci|docker|docs|helm|load|migrations|openapi|scripts|systemd|tests)/[\w./-]*)(?: |$)")


class Facts:
    """Holds what documents say against all that."""

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

    @functools.cache
    def help(self, *path):
        """The commands below a command, and its flags."""
        ran = subprocess.run([self.binary, *path, "--help"], capture_output=True, text=True, timeout=60)
        if ran.returncode != 0:
            raise Failed(f"lockkeeper {' '.join(path)} --help: {ran.stderr.strip()}")
        below = ran.stdout.partition("\nCommands:\n")[2].partition("\n\n")[0]
        return re.findall(r"^  ([a-z]\S*)", below, re.M), re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", ran.stdout, re.M)

    def check_command(self, place, words):
        """Are there these commands (`a|b` is two) and flags?"""
        path = []
        while words and self.help(*path)[0] and re.fullmatch(r"[a-z][a-z|-]*", words[0]):
            alternatives = words.pop(0).split("|")
            if unknown := set(alternatives) - set(self.help(*path)[0]):
                raise Failed(f"{place}: lockkeeper {' '.join([*path, *unknown])}: there is no such command")
            path.append(alternatives[0])
        for word in words[: words.index("--") if "--" in words else None]:
            flag = re.match(r"\[?(--[a-z-]+)", word)
            if flag and flag[1] not in self.help(*path)[1]:
                raise Failed(f"{place}: lockkeeper {' '.join([*path, flag[1]])}: there is no such flag")

    def check_span(self, place, span):
        """Checks inline code that speaks of something of ours; was there any?"""
        if span.startswith("lockkeeper "):
            self.check_command(place, re.split(r" [|&;>]", span)[0].split()[1:])
        elif re.match(r"(?:[A-Z_]+=\S+ )*make [a-z]", span):
            self.check_targets(place, span)
        elif match := re.fullmatch(r"([a-z_]+)((?:\.[a-z_]+)+)(?: = .*)?", span):
            name, ending = match[1] + match[2], match[2].rpartition(".")[2]
            is_ours = match[1] in self.settings and (name in self.settings or ending not in FILE_ENDINGS)
            if is_ours and name not in self.settings:
                raise Failed(f"{place}: lockkeeper.example.toml has no setting {name}")
            return is_ours
        elif match := OURS.match(span):
            self.check_file(place, match[1].rstrip("/"), span)
        else:
            return False
        return True

    def check_targets(self, place, text):
        for words in re.findall(r"(?:^|[;&|] *|=\S+ )make((?: +[a-z][\w-]*(?!\S))+)", text, re.M):
            for target in set(words.split()) - set(self.targets):
                raise Failed(f"{place}: make {target}: the Makefile has no such target")

    def check_unexecuted(self, block):
        """Of commands that do not run here, what can be seen without."""
        commands = re.sub(r"\\\n", " ", block.text)
        self.check_targets(block.place, commands)
        for command in re.findall(r"(?<![\w.-])lockkeeper +(?=([a-z][^\n|;&>)#]*))", commands):
            # Often it is the name of something else: a user, a chart, a unit.
            if command.split()[0] in self.help()[0]:
                self.check_command(block.place, command.split())
        if block.kind == "by make" and block.reason not in self.made_by_ci():
            raise Failed(f"{block.place}: .ci/run does not come to make {block.reason}")

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
            raise Failed(f"{place}: {link}: there is no such heading")
        return True

    def check_file(self, place, path, said):
        """Is it in the tree, as a file or a folder?"""
        if path not in self.files and not any(name.startswith(f"{path}/") for name in self.files):
            raise Failed(f"{place}: {said}: there is no such file")
