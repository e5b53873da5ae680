"""A conda environment as it was asked for: an environment.yml, or the same written in the manifest.

The format is conda's (conda documentation, "Managing environments", "Creating an environment file manually"). As in
conda, comments such as `# [linux]` select nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipeline.errors import ManifestError, ResolveError, UsageError
from pipeline.kinds import Files
from pipeline.manifest.model import Path_, Secret
from pipeline.manifest.words import did_you_mean
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.manifest.nodes import Document, Node

_SPEC = re.compile(r"(?:\S+::)?\s*([A-Za-z0-9_][\w.-]*)")
_KEYS = ("name", "channels", "dependencies", "prefix", "variables")


@noun
class Environment:
    """What a conda layer asks for. `pip` are lines of a requirement file, relative to the folder of `file`."""

    file: str = ""
    name: str = ""
    channels: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def read(spec: Mapping[str, Any], files: Files) -> Environment:
    """The environment that settings (`file`, `channels`, `dependencies`) describe; channels there go before the file's.

    Raises UsageError, ManifestError for a file that is not YAML, and ResolveError with the line for anything else.
    """
    if ("file" in spec) == ("dependencies" in spec):
        raise UsageError("a conda layer asks for a file or for dependencies", remedy="give exactly one of the two")
    channels = tuple(_reveal(channel) for channel in spec.get("channels") or ())
    if "dependencies" in spec:
        packages = tuple(item for item in spec["dependencies"] if isinstance(item, str))
        pip = (line for item in spec["dependencies"] if isinstance(item, Mapping) for line in item["pip"])
        return Environment("", "", channels, packages, tuple(_reveal(line) for line in pip))
    found = parse(files.text(spec["file"]), spec["file"])
    if not channels:
        return found
    return Environment(found.file, found.name, channels, found.dependencies, found.pip, found.variables)


def parse(text: str, file: str) -> Environment:
    """What an environment.yml asks for."""
    from pipeline.manifest.source import parse_value

    document = parse_value(text, file)
    if document.problems:
        raise ManifestError(document.problems)
    if not isinstance(document.root.value, dict) or "dependencies" not in document.root.value:
        keys = document.root.value if isinstance(document.root.value, dict) else ()
        near = next((f"{key}: {hint}" for key in keys if (hint := did_you_mean(key, _KEYS)) and key not in _KEYS), "")
        raise _wrong(document, (), "this file lists no dependencies", near or "add `dependencies:` with a list")
    values = document.root.value
    packages, pip = _dependencies(document, values["dependencies"])
    return Environment(
        file,
        _scalar(document, ("name",), values["name"]) if "name" in values else "",
        tuple(_texts(document, ("channels",), values.get("channels"))),
        tuple(packages),
        tuple(pip),
        _variables(document, values.get("variables")),
    )


def spec_name(spec: str) -> str:
    """The package that a spec names: `numpy` of `conda-forge::numpy=2`; empty for none."""
    match = _SPEC.match(spec)
    return match[1].lower() if match else ""


def _dependencies(document: Document, node: Node) -> tuple[list[str], list[str]]:
    """The conda specs, and the lines for pip."""
    packages: list[str] = []
    pip: list[str] = []
    for index, item in enumerate(_items(document, ("dependencies",), node)):
        path: Path_ = ("dependencies", index)
        if not isinstance(item.value, dict):
            packages.append(_scalar(document, path, item))
        elif [*item.value] == ["pip"]:
            pip += _texts(document, (*path, "pip"), item.value["pip"])
        else:
            raise _wrong(document, path, "only `pip:` may hold a list here", "write the package as name=version")
    return packages, pip


def _variables(document: Document, node: Node | None) -> dict[str, str]:
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        raise _wrong(document, ("variables",), "variables is no mapping", "write NAME: value")
    return {name: _scalar(document, ("variables", name), value) for name, value in node.value.items()}


def _texts(document: Document, path: Path_, node: Node | None) -> list[str]:
    items = [] if node is None else _items(document, path, node)
    return [_scalar(document, (*path, index), item) for index, item in enumerate(items)]


def _items(document: Document, path: Path_, node: Node) -> list[Node]:
    if node.value is None:
        return []
    if not isinstance(node.value, list):
        raise _wrong(document, path, f"{path[-1]} is no list", "start each item with '- '")
    return node.value


def _scalar(document: Document, path: Path_, node: Node) -> str:
    if isinstance(node.value, dict | list) or node.value is None:
        raise _wrong(document, path, "a text is wanted here", "write the package as name=version")
    return node.text if node.text is not None else str(node.value)


def _wrong(document: Document, path: Path_, message: str, remedy: str) -> ResolveError:
    return ResolveError(message, remedy=remedy, place=document.where(path))


def _reveal(text: str) -> str:
    return text.reveal() if isinstance(text, Secret) else text
