#!/usr/bin/env python3
"""Looks for words and names that docs/contributing/writing.md rules out. Usage: check_words.py [FOLDER]

An exception is inline, with its reason: `words: "told" quotes the agent` on the line itself or on the line before it. Between
`words: off, REASON` and `words: on` nothing is looked for.
"""

import re
import subprocess
import sys
from pathlib import Path

# Prose, in any case, also as a part of a name with underscores.
WORDS = {
    "told": "reported, shown, logged",
    "tells": "reports, shows, says",
    "tell of": "report",
    "whoever": "the caller, client, operator, ...",
    "nobody": "no node, no client, ...",
    "somebody": "a release manager, a client, ...",
    "anybody": "any node, any client, ...",
    "everybody": "all nodes, every client, ...",
    "mend": "fix",
    "mended": "fixed",
    "who asks": "the caller",
    "those who": "clients that, nodes that, ...",
    "what is odd": "warnings",
    "for good": "permanently",
    "takes back": "withdraws",
    "taken back": "withdrawn",
    "is none": "there is no ...",
    "in a hurry": "say what is urgent",
    "guise": "form",
    "manners": "configuration",
}

# Names that were replaced, wherever they occur.
NAMES = {
    "Asker": "NodeContext, Actor",
    "Asked": "PollRequest, ValidQuery",
    "Standing": "Visibility",
    "stays_closed": "check_admission",
    "hasty": "too_fast",
    "by_hand": "apply_local_edit",
    "Misstep": "ImmutabilityError",
    "Aspect": "PolicyKind",
    "affected_ever": "affected_eventually",
    "wholes": "full_graphs",
    "heard_at": "last_contact_at",
    "Following": "SyncDeps",
    "DiskCopy": "SnapshotStore",
    "freeze_after": "stale_after",
    "fronts": "endpoints",
    "Telling": "TelemetryGuard",
    "MOST_": "MAX_",
    "LEAST_": "MIN_",
}

# Names that are ordinary words: looked for where the code defines them.
DEFINITIONS = {
    "struct": {
        "Act": "AuditEntry",
        "Begun": "PrefixedIo",
        "Carried": "TraceContext",
        "Closed": "AdmissionError",
        "Ends": "FragmentOffsets",
        "Front": "Endpoint",
        "Kept": "Snapshot",
        "Left": "NextStep",
        "Live": "CatalogHandle",
        "Once": "IdempotencyKey",
        "Piece": "NodeFragment",
        "Place": "TargetVisibility, Permit, JwksSource",
        "Places": "ConnectionLimit",
        "Pulse": "EventLoopHealth",
        "Quick": "FastResponse",
        "Reach": "Impact",
        "Read": "ReadRequest",
        "Reading": "GaugeSample",
        "Record": "RevisionMeta",
        "Terms": "WriteOptions",
        "Write": "WriteRequest",
    },
    "fn": {
        "beat": "probe",
        "cleared": "suppressed_upstream",
        "door": "rejection_slots",
        "hurry": "force_shutdown",
        "left": "say what is left",
        "mark": "tag_origin",
        "of": "new, from_*",
        "once": "idempotency",
        "openings": "exposure_increases",
        "ours": "local",
        "patience": "io_timeout",
        "place": "visibility",
        "put": "set, insert, write",
        "quick": "fast_path",
        "standing": "visibility",
        "whole": "full_graph",
    },
}

# What is not ours to word, what was applied and must not change, and what records how it was.
LEFT_OUT = re.compile(
    r"^(\.sqlx/|migrations/|fuzz/corpus/|docs/adr/000[1-7]|Cargo\.lock|fuzz/Cargo\.lock|LICENSE|load/REPORT\.md|scripts/check_words(_test)?\.py)"
)
EXCEPTION = re.compile(r"words: (off, \S|on\b|\"[^\"]+\" \S)")


def compile_rules():
    rules = []
    for word, instead in WORDS.items():
        # `is_none` is a method of Rust, `is None` an operator of Python.
        spaced = r"is\s+(?-i:none|NONE)" if word == "is none" else word.replace(" ", r"[\s_]+")
        rules.append((re.compile(rf"(?<![a-z]){spaced}(?![a-z])", re.IGNORECASE), word, instead))
    for name, instead in NAMES.items():
        end = "" if name.endswith("_") else r"(?!\w)"
        rules.append((re.compile(rf"(?<!\w){name}{end}"), name, instead))
    for name, instead in DEFINITIONS["struct"].items():
        rules.append((re.compile(rf"\b(?:struct|enum|trait|type) {name}\b"), name, instead))
    for name, instead in DEFINITIONS["fn"].items():
        rules.append((re.compile(rf"\bfn {name}\b(?=[(<])"), name, instead))
    return rules


def findings(path, text, rules):
    is_off, before = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        marker = EXCEPTION.search(line)
        if marker and marker[1].startswith("off"):
            is_off = True
        elif marker and marker[1] == "on":
            is_off = False
        elif not is_off:
            for rule, word, instead in rules:
                excepted = f'words: "{word}" '
                if rule.search(line) and excepted not in line and excepted not in before:
                    yield f"{path}:{number}: \"{word}\" (write: {instead})"
        before = line
    if is_off:
        yield f"{path}: `words: off` without `words: on`"


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=folder, capture_output=True, check=True
    )
    rules, found = compile_rules(), []
    for name in sorted(listed.stdout.decode().split("\0")):
        path = folder / name
        if not name or LEFT_OUT.match(name) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found.extend(findings(name, text, rules))
    for line in found:
        print(line)
    if found:
        sys.exit(f"{len(found)} uses of words that docs/contributing/writing.md rules out")


if __name__ == "__main__":
    main()
