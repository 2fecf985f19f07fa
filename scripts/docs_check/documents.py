"""Parses a document into its commands and its prose."""

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
# Other languages of command blocks, and how commands begin in blocks without a language.
SHELLS = ("bash", "console", "shell", "zsh")
COMMAND = re.compile(r"^ *(?:\$ |(?:sudo|lockkeeper|make|curl|cargo) )", re.M)
COMMENT = re.compile(r"<!--.*?-->", re.S)
# Inline code does not cross the end of a paragraph.
CODE = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n\s*\n).)+?)(?<!`)\1(?!`)", re.S)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?[^)]*\)|^\[[^\]\n]+\]: *<?([^\s>]+)", re.M)
HEADING = re.compile(r"^#{1,6} +(.*?)[ #]*$", re.M)


class Failed(Exception):
    """A document is wrong; the text says where and why."""


@dataclass
class Block:
    """A block of commands, its first line (0 for the added service), and its directive."""

    document: str
    line: int
    text: str
    kind: str
    reason: str

    @property
    def place(self):
        return f"{self.document}:{self.line}" if self.line else f"{self.document}: a service for it"


class Document:
    """A document's blocks, and its prose without blocks and comments, with positions kept."""

    def __init__(self, path):
        self.name = str(path.relative_to(PROJECT))
        text = path.read_text()
        self.blocks = [block for match in BLOCK.finditer(text) if (block := self.block(text, match))]
        self.prose = BLOCK.sub(blank, text)
        # Inline code may contain comments.
        for comment in COMMENT.finditer(CODE.sub(blank, self.prose)):
            if "docs-check" in comment[0]:
                raise Failed(f"{self.name}:{line_of(text, comment.start())}: a directive must be followed by a block of commands")
            self.prose = self.prose[: comment.start()] + blank(comment) + self.prose[comment.end() :]

    def block(self, text, match):
        """Returns a block of commands; None for other blocks."""
        place = f"{self.name}:{line_of(text, match.start('text'))}"
        if match["language"] in SHELLS or (not match["language"] and COMMAND.search(match["text"])):
            raise Failed(f"{place}: mark commands as sh, so that they are executed, and output as text")
        if match["language"] == "sh":
            kind, reason = directed(place, match["directive"])
            commands = re.sub(f"^{match['indent']}", "", match["text"], flags=re.M)
            return Block(self.name, line_of(text, match.start("text")), commands, kind, reason)
        if match["language"] == "text" and match["directive"] == "output":
            return Block(self.name, line_of(text, match.start("text")), match["text"], "output", "")
        if match["directive"]:
            raise Failed(f"{place}: a directive must be followed by a block of commands")
        return None

    def spans(self):
        """Yields inline code with its position."""
        for match in CODE.finditer(self.prose):
            yield f"{self.name}:{line_of(self.prose, match.start())}", " ".join(match[2].split())

    def links(self):
        prose = CODE.sub(blank, self.prose)
        for match in LINK.finditer(prose):
            yield f"{self.name}:{line_of(prose, match.start())}", match[1] or match[2]

    def anchors(self):
        """Yields the anchors that GitHub creates for the headings."""
        seen = Counter()
        for heading in HEADING.findall(self.prose):
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            yield f"{slug}-{seen[slug]}" if seen[slug] else slug
            seen[slug] += 1


def directed(place, directive):
    """Returns the kind of a block, and its target or reason."""
    if directive is None:
        return "run", ""
    match = re.fullmatch(r"(not here), (\S.*)|(by make) ([\w-]+)|(serves|fails)()", directive)
    if not match:
        raise Failed(f"{place}: unknown directive {directive!r}")
    return tuple(group for group in match.groups() if group is not None)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def line_of(text, position):
    return text.count("\n", 0, position) + 1
