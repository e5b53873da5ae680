"""JSON and YAML files of Azure ML as data in which every value knows its place: for messages with file, line and key.

JSON is RFC 8259's; a file whose name ends in .yml or .yaml is read by the manifest's own YAML reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.azureml.exceptions import UserErrorException
from pipeline.errors import Location, ManifestError
from pipeline.manifest.model import Path_

_SPACE = re.compile(r"[ \t\n\r]*")
_DEPTH = 64
_SIZE = 4 << 20
"""Bytes of the largest file that is read: an environment is a few kilobytes."""


@dataclass(frozen=True)
class Document:
    """A file's data. `places` has line and column, from 1, of the key (or else the value) at each path."""

    file: str
    value: Any
    places: Mapping[Path_, tuple[int, int]] = field(default_factory=dict)

    def where(self, path: Path_) -> Location:
        """The place of what stands at `path`, else of the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        return Location(self.file, *self.places.get(path, (0, 0)))

    def wrong(self, path: Path_, message: str, remedy: str = "") -> UserErrorException:
        """An error that names the place and the key."""
        return UserErrorException(message, remedy=remedy, place=self.where(path) if self.file else None)


def load(path: Path, *, is_yaml: bool = False) -> Document:
    """The document in a file. UserErrorException for one that is not there or not right."""
    name = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_SIZE + 1)
    except FileNotFoundError:
        remedy = "paths are relative to the current folder"
        raise UserErrorException(f"there is no file {name}", remedy=remedy) from None
    except OSError as error:
        raise UserErrorException(f"{name} cannot be read: {error.strerror}") from None
    if len(data) > _SIZE:
        raise UserErrorException(f"{name} is larger than {_SIZE >> 20} MiB", remedy="give the configuration file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserErrorException(f"{name} is not UTF-8 (byte {error.start})", remedy="save it as UTF-8") from None
    is_yaml = is_yaml or path.suffix.lower() in (".yml", ".yaml")
    return parse_yaml(text, name) if is_yaml else parse_json(text, name)


def parse_json(text: str, file: str) -> Document:
    """UserErrorException with line and column for text that is not JSON, or has a key twice."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        place = Location(file, error.lineno, error.colno)
        raise UserErrorException(f"this is not JSON: {error.msg}", remedy=_hint(text, error), place=place) from None
    except RecursionError:
        raise UserErrorException(f"nested more than {_DEPTH} levels deep", place=Location(file)) from None
    places: dict[Path_, tuple[int, int]] = {}
    value, _ = _Reader(text, file, places).value(_skip(text, 0), ())
    return Document(file, value, places)


def _hint(text: str, error: json.JSONDecodeError) -> str:
    """What is usually meant where JSON ends."""
    before = text[: error.pos].rstrip()[-1:]
    # From Python 3.13 on the place is that of the comma.
    if before == "," or re.match(r",\s*[\]}]", text[error.pos : error.pos + 200]):
        return "remove the comma before it: JSON has none after the last item"
    if text[error.pos : error.pos + 1] == "'":
        return "JSON has double quotes only"
    if text[error.pos : error.pos + 1] in ("/", "#"):
        return "JSON has no comments"
    return "check this place and what is before it"


class _Reader:
    """Reads JSON that is known to be valid, for the places that `json` does not tell."""

    def __init__(self, text: str, file: str, places: dict[Path_, tuple[int, int]]) -> None:
        self._text, self._file, self._places = text, file, places
        self._scan = json.JSONDecoder().raw_decode
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def value(self, at: int, path: Path_) -> tuple[Any, int]:
        """The value that starts at `at`, and where it ends."""
        if len(path) > _DEPTH:
            raise UserErrorException(f"nested more than {_DEPTH} levels deep", place=self._where(at))
        self._places.setdefault(path, self._position(at))
        if self._text[at] == "{":
            return self._mapping(at, path)
        if self._text[at] == "[":
            return self._list(at, path)
        return self._scan(self._text, at)

    def _mapping(self, at: int, path: Path_) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = _skip(self._text, at + 1)
        while self._text[at] != "}":
            key, end = self._scan(self._text, at)
            if key in found:
                line = self._places[(*path, key)][0]
                remedy = f"it is on line {line} already: keep one of them"
                raise UserErrorException(f"duplicate key '{key}'", remedy=remedy, place=self._where(at))
            self._places[(*path, key)] = self._position(at)
            colon = _skip(self._text, end)
            found[key], end = self.value(_skip(self._text, colon + 1), (*path, key))
            at = self._next(end)
        return found, at + 1

    def _list(self, at: int, path: Path_) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = _skip(self._text, at + 1)
        while self._text[at] != "]":
            item, end = self.value(at, (*path, len(found)))
            found.append(item)
            at = self._next(end)
        return found, at + 1

    def _next(self, end: int) -> int:
        at = _skip(self._text, end)
        return _skip(self._text, at + 1) if self._text[at] == "," else at

    def _position(self, at: int) -> tuple[int, int]:
        from bisect import bisect_right

        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _where(self, at: int) -> Location:
        return Location(self._file, *self._position(at))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def parse_yaml(text: str, file: str) -> Document:
    """UserErrorException with all that is wrong in YAML."""
    from pipeline.manifest.source import parse_value

    try:
        document = parse_value(text, file)
        if document.problems:
            raise ManifestError(document.problems)
    except ManifestError as error:
        raise UserErrorException(str(error)) from None
    places: dict[Path_, tuple[int, int]] = {}
    return Document(file, _plain(document.root, (), places), places)


def _plain(node: Any, path: Path_, places: dict[Path_, tuple[int, int]]) -> Any:
    """The node's data; where they are written, versions such as 3.10 keep their text."""
    places.setdefault(path, (node.line, node.column))
    if isinstance(node.value, dict):
        for key, place in node.keys.items():
            places[(*path, key)] = place
        return {key: _plain(child, (*path, key), places) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child, (*path, number), places) for number, child in enumerate(node.value)]
    return node.value


def paths(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value in data, with its path."""
    yield path, value
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield from paths(part, (*path, key))
