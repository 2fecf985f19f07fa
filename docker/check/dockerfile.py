"""Parses docker/Dockerfile into stages and their instructions."""

import json
import pathlib
import re
from dataclasses import dataclass, field


@dataclass
class Stage:
    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword):
        return [rest for word, rest in self.instructions if word == keyword]

    def env(self):
        pairs = (pair.split("=", 1) for rest in self.all("ENV") for pair in rest.split())
        return {name: value for name, value in pairs}

    def copies(self):
        """Yields (flags, sources, target) of each COPY."""
        for rest in self.all("COPY"):
            words = rest.split()
            flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
            *sources, target = [word for word in words if not word.startswith("--")]
            yield flags, sources, target


def read(path="docker/Dockerfile"):
    """Returns the ARGs before the first stage, and the stages."""
    text = pathlib.Path(path).read_text()
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    arguments, stages = {}, []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        keyword, rest = line.split(None, 1)
        if keyword == "FROM":
            match = re.fullmatch(r"(\S+)(?: AS (\S+))?", rest)
            stages.append(Stage(match[1], match[2] or ""))
        elif not stages:
            name, _, default = rest.partition("=")
            arguments[name] = default
        else:
            stages[-1].instructions.append((keyword, " ".join(rest.split())))
    return arguments, stages


def exec_form(text):
    """Returns the words of ["a", "b"]; None for the shell form."""
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) else None
