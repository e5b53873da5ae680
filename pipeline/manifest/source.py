"""YAML text to a tree in which every key and value knows its place; everything unsafe or ambiguous is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.errors import Diagnostic, Location, ManifestError
from pipeline.manifest.nodes import Document, Node, resolve_plain
from pipeline.manifest.reader import lines_of

DEPTH = 50
NODES = 100_000
CHARACTERS = 4 << 20
"""How deep a manifest nests, and how many values and characters it holds once aliases are expanded."""

_TAG = "tag:yaml.org,2002:"
_PROBLEMS = (
    # libyaml's words (scanner.c, parser.c), what to say instead, what would be right.
    ("mapping values are not allowed", "a ':' is out of place here", "check the indentation; quote text that has ': '"),
    ("expected ',' or ']'", "this list is not closed", "expected ',' or ']'"),
    ("expected ',' or '}'", "this mapping is not closed", "expected ',' or '}'"),
    ("expected '-' indicator", "this line does not belong to the list above it", "start it with '- ', or indent it"),
    ("expected key", "the indentation does not fit the lines above", "align it with the other keys"),
    ("expected ':'", "this line is not 'key: value'", "add ':' after the key, or quote text of several lines"),
    ("unexpected end of stream", "this quoted text does not end", "close the quote"),
    ("unexpected document indicator", "this quoted text does not end", "close the quote"),
    ("unknown escape character", "unknown escape in double quotes", "write '\\\\', or use single quotes"),
    ("invalid Unicode character escape", "this escape is no Unicode character", "write the character itself"),
    ("expected <document start>", "this line does not belong to what is above it", "align all top-level keys"),
    ("expected node content", "a value is missing here", "look for a bracket or a comma too many"),
    ("undefined tag handle", "tags such as '!name' are not allowed", "remove the tag"),
    ("incompatible YAML document", "this YAML version is not known", "remove the '%YAML' line"),
    ("nesting", f"nested more than {DEPTH} levels deep", "make it flatter"),
)  # fmt: skip

MOST = 50
"""More errors than this are counted, not shown."""


def parse(text: str, file: str) -> Document:
    """The document that `text` holds; ManifestError when it is not one mapping.

    What leaves the rest readable (duplicate keys, tags, keys that are not text) is kept in `problems`.
    """
    document = parse_value(text, file)
    root = document.root
    if not isinstance(root.value, dict):
        if root.value is None:
            message = "the manifest is empty"
        else:
            message = f"the manifest is {'a list' if isinstance(root.value, list) else 'a single value'}, not a mapping"
        remedy = "start with 'version: 1' and 'name: ...'"
        raise _refused(document, document.diagnose(document.where(()), message, remedy))
    return document


def parse_value(text: str, file: str) -> Document:
    """As `parse`, for any one YAML value."""
    lines = lines_of(text)
    document = Document(file, Node(None, 1, 1), lines)
    try:
        _Composer(document, text).document()
    except yaml.MarkedYAMLError as error:
        raise _refused(document, _syntax(document, error)) from None
    except yaml.YAMLError as error:
        raise ManifestError([Diagnostic(Location(file), f"is not YAML: {error}")]) from None
    return document


def _refused(document: Document, last: Diagnostic) -> ManifestError:
    """What stops the parser, after the problems that did not; it is shown however many those are."""
    shown = document.problems[: MOST - 1]
    hidden = len(document.problems) - len(shown)
    more = [Diagnostic(Location(document.file), f"{hidden} more errors are not shown")] if hidden else []
    return ManifestError([*shown, last, *more])


def _syntax(document: Document, error: yaml.MarkedYAMLError) -> Diagnostic:
    """The parser's complaint in plain words, at the place that has to change."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "cannot be read"
    start = error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    message, remedy = problem, "check the YAML here"
    if "cannot start any token" in problem:
        rest = document.lines[line][column:] if line < len(document.lines) else ""
        if rest.startswith("\t"):
            message, remedy = "a tab is used for indentation", "use spaces"
        else:
            message, remedy = f"text cannot start with '{rest[:1]}'", "put the text in quotes"
    for words, plain, right in _PROBLEMS:
        if words in problem:
            message, remedy = plain, right
            break
    if "}'" in remedy and start and "${" in document.lines[start.line][start.column :]:
        remedy = 'inside { }, quote a reference: "${...}"'
    if start and ("not closed" in message or "does not end" in message or "expected ':'" in problem):
        line, column = start.line, start.column
    return document.diagnose(Location(document.file, line + 1, column + 1), message, remedy)


class _Composer:
    """Builds nodes from the C parser's events.

    The parser's own composer is recursive C code without a limit, and its nodes share what aliases repeat.
    """

    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0
        self._characters = 0

    def document(self) -> None:
        """Reads the one document of the stream."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self._nodes:
                    self._fail(event, "a second document starts here", "keep one manifest in a file")
                self._document.root = self._node(next(self._events), 0)

    def _node(self, event: Any, depth: int) -> Node:
        if depth > DEPTH:
            self._fail(event, f"nested more than {DEPTH} levels deep", "make it flatter")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        mark = event.start_mark
        node = Node(None, mark.line + 1, mark.column + 1, mark.line + 1)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._count(event, 1, 0)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, node)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._tag(event, "seq")
            self._sequence(node, depth)
        else:
            self._tag(event, "map")
            self._mapping(node, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, depth: int) -> Node:
        if event.anchor not in self._anchors:
            self._fail(event, f"nothing is anchored as '&{event.anchor}' above", "define it first, or quote the text")
        node = self._anchors[event.anchor]
        if node is None:
            self._fail(event, f"'*{event.anchor}' stands inside '&{event.anchor}', which it repeats", "break the cycle")
        assert node is not None
        if depth + node.height > DEPTH:
            self._fail(event, f"nested more than {DEPTH} levels deep by aliases", "make it flatter")
        self._count(event, node.nodes, node.characters)
        return node

    def _scalar(self, event: Any, node: Node) -> None:
        text = event.value
        node.last = event.end_mark.line + 1
        node.characters = len(text)
        self._count(event, 0, len(text))
        tag = self._tag(event, "str")
        if event.implicit[0] and not tag:
            node.value, node.text = resolve_plain(text), text
        else:
            node.value = text
        if "\0" in text:
            self._problem(node, "a NUL character in the text", "remove it")

    def _sequence(self, node: Node, depth: int) -> None:
        node.value = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            self._adopt(node, child := self._node(event, depth + 1))
            node.value.append(child)

    def _mapping(self, node: Node, depth: int) -> None:
        node.value = {}
        merges: list[Node] = []
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            child = self._node(next(self._events), depth + 1)
            if key.text == "<<":
                merges.append(child)
            elif isinstance(key.value, str):
                self._put(node, key, child)
            else:
                self._bad_key(key)
            self._adopt(node, child)
        for merged in merges:
            self._merge(node, merged)

    def _put(self, node: Node, key: Node, child: Node) -> None:
        if key.value in node.keys:
            line = node.keys[key.value][0]
            self._problem(key, f"duplicate key '{key.value[:60]}'", f"it is on line {line} already: keep one of them")
            return
        node.value[key.value] = child
        node.keys[key.value] = (key.line, key.column)

    def _merge(self, node: Node, merged: Node) -> None:
        """`<<: *defaults` (yaml.org/type/merge.html): keys of its own win, then the first mapping that has one."""
        for source in merged.value if isinstance(merged.value, list) else [merged]:
            if not isinstance(source.value, dict):
                self._problem(source, "'<<' merges mappings only", "give it an alias such as *defaults")
                continue
            for key, child in source.value.items():
                if key not in node.value:
                    node.value[key] = child
                    node.keys[key] = source.keys[key]

    def _bad_key(self, key: Node) -> None:
        if isinstance(key.value, dict | list):
            self._problem(key, "a key must be text, not a list or a mapping", "write 'key: value'")
        else:
            text = key.text or "key"
            self._problem(key, f"the key {text} is not text", f'quote it: "{text}"')

    def _adopt(self, node: Node, child: Node) -> None:
        node.nodes += child.nodes
        node.characters += child.characters
        node.height = max(node.height, child.height + 1)

    def _tag(self, event: Any, allowed: str) -> bool:
        """Whether a harmless tag is there; any other is an error, for tags may stand for code."""
        if event.tag is None:
            return False
        if event.tag not in ("!", _TAG + allowed):
            name = "!!" + event.tag.removeprefix(_TAG) if event.tag.startswith(_TAG) else event.tag
            mark = event.start_mark
            place = Location(self._document.file, mark.line + 1, mark.column + 1)
            message = f"the tag {name[:60]} is not allowed"
            self._document.problems.append(self._document.diagnose(place, message, "use plain YAML values"))
        return True

    def _count(self, event: Any, nodes: int, characters: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > NODES:
            self._fail(event, f"the manifest holds more than {NODES:,} values, aliases expanded", "make it smaller")
        if self._characters > CHARACTERS:
            self._fail(
                event, f"the manifest holds more than {CHARACTERS:,} characters, aliases expanded", "make it smaller"
            )

    def _problem(self, node: Node, message: str, remedy: str) -> None:
        place = Location(self._document.file, node.line, node.column)
        self._document.problems.append(self._document.diagnose(place, message, remedy))

    def _fail(self, event: Any, message: str, remedy: str) -> None:
        mark = event.start_mark
        place = Location(self._document.file, mark.line + 1, mark.column + 1)
        raise _refused(self._document, self._document.diagnose(place, message, remedy))
