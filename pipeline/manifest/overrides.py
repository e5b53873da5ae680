"""Applies `--set images.scoring.port=5002`: values of the command line that replace or add values of the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import Diagnostic, Location, PipelineError
from pipeline.manifest.model import Path_
from pipeline.manifest.nodes import Document, Node
from pipeline.manifest.words import did_you_mean

_DEEP = 20


def is_path(name: str, root: Node) -> bool:
    """Whether `--set name=...` means a place in the manifest; otherwise it gives the variable `${name}`."""
    return "." in name or name in root.value


def apply(document: Document, sets: Mapping[str, str], used: frozenset[str]) -> list[Diagnostic]:
    """Puts every override into the document's tree; `used` are names that `${...}` uses, which come first."""
    problems = []
    for name, text in sets.items():
        if name in used or not is_path(name, document.root):
            continue
        place = Location(f"--set {name}")
        try:
            path = _path(name.split("."), document.root)
            # Text for now: what it should be is known once the schema has been asked.
            leaf = Node(text, 0, 0, origin=str(place))
            document.root = _put(document.root, path, leaf, str(place))
        except PipelineError as error:
            problems.append(Diagnostic(place, error.message, error.remedy))
    return problems


def unused(sets: Mapping[str, str], used: frozenset[str], root: Node) -> list[Diagnostic]:
    """An error for each `--set name=...` that names nothing."""
    problems = []
    for name in sets:
        if name not in used and not is_path(name, root):
            remedy = did_you_mean(name, {*used, *root.value}) or f"the manifest has no ${{{name}}} and no key '{name}'"
            problems.append(Diagnostic(Location(f"--set {name}"), f"'{name}' is not used by the manifest", remedy))
    return problems


def _path(words: list[str], node: Node | None) -> Path_:
    """The words as keys; an entry's name may itself hold dots, so the longest key that exists wins."""
    if not words:
        return ()
    if len(words) > _DEEP or "" in words:
        raise PipelineError("this is not a path of the manifest", remedy="as in --set images.scoring.user=1000")
    if node is not None and isinstance(node.value, list):
        return (_index(words[0], node), *_path(words[1:], _child(node, words[0])))
    count = 1
    if node is not None and isinstance(node.value, dict):
        count = next((n for n in range(len(words), 0, -1) if ".".join(words[:n]) in node.value), 1)
        key = ".".join(words[:count])
        return (key, *_path(words[count:], node.value.get(key)))
    return (words[0], *_path(words[1:], None))


def _child(node: Node, word: str) -> Node | None:
    index = int(word)
    return node.value[index] if index < len(node.value) else None


def _index(word: str, node: Node) -> int:
    count = len(node.value)
    if not word.isdecimal() or not word.isascii() or len(word) > 6 or int(word) > count:
        remedy = f"0 to {count - 1}, or {count} to add one" if count else "0 to add the first"
        raise PipelineError(f"'{word}' is no position of a list of {count}", remedy=remedy)
    return int(word)


def _put(node: Node | None, path: Path_, leaf: Node, origin: str) -> Node:
    """A copy of `node` with `leaf` at `path`; what is not on the way is shared, for aliases share nodes, too."""
    if not path:
        return leaf
    key, rest = path[0], path[1:]
    if node is None or node.value is None:
        return Node({key: _put(None, rest, leaf, origin)}, 0, 0, origin=origin)
    if isinstance(node.value, list) and isinstance(key, int):
        items = list(node.value)
        items[key : key + 1] = [_put(items[key] if key < len(items) else None, rest, leaf, origin)]
        return replace(node, value=items)
    if isinstance(node.value, dict):
        child = _put(node.value.get(key), rest, leaf, origin)
        return replace(
            node, value={**node.value, str(key): child}, keys={k: v for k, v in node.keys.items() if k != key or rest}
        )
    raise PipelineError(f"there is a single value where '{key}' is looked for", remedy="shorten the path")
