"""YAML values with their places: the tree between the text of a manifest and its data."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import Diagnostic, Location
from pipeline.manifest.model import Path_
from pipeline.manifest.secrets import secret_column

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_SHOWN = 160


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A scalar, a list of nodes or a mapping of nodes; where it starts (line and column count from 1), and its last
    line.

    `text` is a plain scalar's own text, so that `3.10` can be told from 3.1; `nodes` and `height` bound what aliases
    expand to; `origin` names a place outside the manifest, such as an option of the command line.
    """

    value: Any
    line: int
    column: int
    last: int = 0
    text: str | None = None
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    nodes: int = 1
    characters: int = 0
    height: int = 0
    origin: str = ""


def resolve_plain(text: str) -> Any:
    """The value of an unquoted scalar by YAML 1.2.2's core schema (10.3.2), where it is safe.

    So `yes`, `on`, dates and `22:22` are text. Text stays, too, what is easily mistaken: `0644`, `1_000`, numbers too
    large for 64 bits, infinity and not-a-number.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def in_one_line(text: str) -> str:
    """Words with what they quote of a manifest: its line breaks and control characters as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(slots=True, eq=False, repr=False)
class Document:
    """A parsed manifest: its tree, its lines, and the errors that did not stop the parser."""

    file: str
    root: Node
    lines: list[str]
    problems: list[Diagnostic] = field(default_factory=list)
    hidden: dict[int, int] = field(default_factory=dict)
    """Lines that hold a secret written out, and the column from which they are not shown."""

    def node(self, path: Path_) -> tuple[Node, Path_]:
        """The node at a path, else its nearest ancestor, and the path of what was found."""
        node = self.root
        for depth, key in enumerate(path):
            try:
                node = node.value[key]
            except (KeyError, IndexError, TypeError):
                return node, path[:depth]
        return node, path

    def where(self, path: Path_) -> Location:
        """The place of a value, else of its nearest ancestor's key."""
        node, found = self.node(path)
        return self._location(node, node.line, node.column) if found == path else self.where_key(found)

    def where_key(self, path: Path_) -> Location:
        """The place of a mapping's key; of the value itself where there is no key."""
        if not path:
            return self._location(self.root, self.root.line, self.root.column)
        parent, found = self.node(path[:-1])
        if found != path[:-1]:
            return self.where_key(found)
        if isinstance(parent.value, dict) and path[-1] in parent.value:
            child = parent.value[path[-1]]
            return self._location(child, *parent.keys.get(str(path[-1]), (child.line, child.column)))
        return self.where(path)

    def _location(self, node: Node, line: int, column: int) -> Location:
        return Location(node.origin) if node.origin else Location(self.file, line, column)

    def diagnose(self, location: Location, message: str, remedy: str = "") -> Diagnostic:
        """A diagnostic that shows its line, without what must stay hidden and not wider than a screen."""
        line = ""
        if location.file == self.file and 0 < location.line <= len(self.lines) and location.column <= _SHOWN:
            line = self.lines[location.line - 1]
            line = "".join(c if c.isprintable() else " " for c in line[: _SHOWN + 1])
            columns = [self.hidden.get(location.line), (secret_column(line) or _SHOWN * 2) + 1]
            if (column := min(c for c in columns if c is not None)) <= len(line):
                line = line[: column - 1] + "***" if location.column <= column else ""
            elif len(line) > _SHOWN:
                line = line[:_SHOWN] + "…"
        return Diagnostic(location, in_one_line(message), in_one_line(remedy), line)

    def hide(self, path: Path_) -> None:
        """Shows the text of the value at `path` in no diagnostic."""
        node, found = self.node(path)
        if found != path or node.origin:
            return
        self.hidden[node.line] = min(node.column, self.hidden.get(node.line, node.column))
        for line in range(node.line + 1, node.last + 1):
            self.hidden[line] = 1
