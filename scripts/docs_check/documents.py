"""Reads a document: its commands, and what its prose speaks of."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent

BLOCK = re.compile(
    r"(?:^ *<!-- docs-check: (?P<directive>[^\n]*?) -->\n\s*?)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```[^\S\n]*$",
    re.M | re.S,
)
# Other marks that commands might have, or how they begin where there is no mark.
SHELLS = ("bash", "console", "shell", "zsh")
COMMAND = re.compile(r"^ *(?:\$ |(?:sudo|lockkeeper|make|curl|cargo) )", re.M)
COMMENT = re.compile(r"<!--.*?-->", re.S)
# Neither crosses the end of a paragraph.
CODE = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n\s*\n).)+?)(?<!`)\1(?!`)", re.S)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?[^)]*\)|^\[[^\]\n]+\]: *<?([^\s>]+)", re.M)
HEADING = re.compile(r"^#{1,6} +(.*?)[ #]*$", re.M)


class Failed(Exception):
    """A document says what is not so; the text says where, and why."""


@dataclass
class Block:
    """Commands of a document, the line of the first of them (0 for ours), and what its directive says."""

    document: str
    line: int
    text: str
    kind: str
    reason: str

    @property
    def place(self):
        return f"{self.document}:{self.line}" if self.line else f"{self.document}: a service for it"


class Document:
    """A document's blocks, and its prose: everything beside blocks and comments, at its place."""

    def __init__(self, path):
        self.name = str(path.relative_to(PROJECT))
        text = path.read_text()
        self.blocks = [block for match in BLOCK.finditer(text) if (block := self.block(text, match))]
        self.prose = BLOCK.sub(blank, text)
        # Inline code may speak of comments.
        for comment in COMMENT.finditer(CODE.sub(blank, self.prose)):
            if "docs-check" in comment[0]:
                raise Failed(f"{self.name}:{line_of(text, comment.start())}: a directive that no block of commands follows")
            self.prose = self.prose[: comment.start()] + blank(comment) + self.prose[comment.end() :]

    def block(self, text, match):
        """A block of commands; none if it is of something else."""
        place = f"{self.name}:{line_of(text, match.start('text'))}"
        if match["language"] in SHELLS or (not match["language"] and COMMAND.search(match["text"])):
            raise Failed(f"{place}: a block of commands is marked sh, to be executed; what is printed is marked text")
        if match["language"] == "sh":
            kind, reason = directed(place, match["directive"])
            commands = re.sub(f"^{match['indent']}", "", match["text"], flags=re.M)
            return Block(self.name, line_of(text, match.start("text")), commands, kind, reason)
        if match["directive"]:
            raise Failed(f"{place}: a directive before what are no commands")
        return None

    def spans(self):
        """The inline code, each with its place."""
        for match in CODE.finditer(self.prose):
            yield f"{self.name}:{line_of(self.prose, match.start())}", " ".join(match[2].split())

    def links(self):
        prose = CODE.sub(blank, self.prose)
        for match in LINK.finditer(prose):
            yield f"{self.name}:{line_of(prose, match.start())}", match[1] or match[2]

    def anchors(self):
        """What GitHub makes of the headings."""
        seen = Counter()
        for heading in HEADING.findall(self.prose):
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            yield f"{slug}-{seen[slug]}" if seen[slug] else slug
            seen[slug] += 1


def directed(place, directive):
    """What becomes of a block, and which target or reason goes with it."""
    if directive is None:
        return "run", ""
    match = re.fullmatch(r"(not here), (\S.*)|(by make) ([\w-]+)|(serves|fails)()", directive)
    if not match:
        raise Failed(f"{place}: there is no directive {directive!r}")
    return tuple(group for group in match.groups() if group is not None)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def line_of(text, position):
    return text.count("\n", 0, position) + 1
