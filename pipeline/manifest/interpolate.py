"""Puts the values of `${env:NAME}`, `${file:PATH}` and `${NAME}` into the data of a manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import Diagnostic, PipelineError
from pipeline.manifest import paths
from pipeline.manifest.model import Path_, Secret
from pipeline.manifest.nodes import Document, Node
from pipeline.manifest.secrets import names_a_secret, password_in, reveal
from pipeline.noun import noun

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
CHARACTERS = 4 << 20
"""How much text references may bring in, in all."""
_FORMS = "${env:NAME}, ${env:NAME:-default}, ${file:PATH} or ${NAME} with --set; $${ for a literal ${"


@dataclass(slots=True)
class Resolved:
    """Data with every reference replaced.

    `loose` are the values that are text only because they came from outside: what they should be, the schema says.
    `failed` are the places whose values are not known; nothing more is to be said about them.
    """

    data: Any = None
    loose: set[Path_] = field(default_factory=set)
    failed: set[Path_] = field(default_factory=set)
    secrets: list[Secret] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    characters: int = 0


@noun
class Sources:
    """Where values come from: the environment, `--set`, and files (read from the folder `base` of project `root`)."""

    environ: Mapping[str, str]
    sets: Mapping[str, str]
    root: Path
    base: Path


def variables(text: str) -> frozenset[str]:
    """The names that a text uses as `${NAME}`."""
    return frozenset(name for name in _REFERENCE.findall(text) if _NAME.fullmatch(name))


def needed(text: str) -> frozenset[str]:
    """The environment's variables that a manifest's text cannot do without: `${env:NAME}` with no default."""
    names = (name.removeprefix("env:") for name in _REFERENCE.findall(text) if name.startswith("env:"))
    return frozenset(name for name in names if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name))


def guessed(document: Document, environ: Mapping[str, str], unknown: str) -> tuple[Any, list[str]]:
    """The document's data as far as it is known without files, and the paths that it names as `${file:PATH}`. In place
    of every value that is not known, or is a secret, stands `unknown`.
    """
    files: list[str] = []

    def value(match: re.Match[str]) -> str:
        scheme, _, rest = (match.group(1) or "").partition(":")
        if match.group(1) is None:
            return "${"
        name, _, default = rest.partition(":-")
        if scheme == "file":
            files.append(rest)
        known = environ.get(name) or default if scheme == "env" else ""
        return unknown if not known or names_a_secret(name) or isinstance(known, Secret) else known

    def plain(node: Node) -> Any:
        if isinstance(node.value, dict):
            return {key: plain(child) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [plain(child) for child in node.value]
        return _REFERENCE.sub(value, node.value) if isinstance(node.value, str) else node.value

    return plain(document.root), files


def resolve(document: Document, sources: Sources) -> Resolved:
    """The document's data with its references replaced; errors are collected, each with its place."""
    resolved = Resolved()
    resolved.data = _data(document.root, (), document, sources, resolved)
    return resolved


def _data(node: Node, path: Path_, document: Document, sources: Sources, into: Resolved) -> Any:
    value = node.value
    if isinstance(value, dict):
        return {key: _data(child, (*path, key), document, sources, into) for key, child in value.items()}
    if isinstance(value, list):
        return [_data(child, (*path, index), document, sources, into) for index, child in enumerate(value)]
    if isinstance(value, str) and "${" in value:
        return _text(value, path, document, sources, into)
    if node.origin and isinstance(value, str):
        into.loose.add(path)
    return value


def _text(text: str, path: Path_, document: Document, sources: Sources, into: Resolved) -> str:
    secret = False

    def replace(match: re.Match[str]) -> str:
        nonlocal secret
        if match.group(1) is None:
            return "${"
        try:
            if not match.group().endswith("}"):
                raise PipelineError("'${' is not closed", remedy=_FORMS)
            value = _value(match.group(1), sources, into)
            into.characters += len(value)
            if into.characters > CHARACTERS:
                raise PipelineError(f"values of more than {CHARACTERS:,} characters are put in", remedy="use fewer")
        except PipelineError as error:
            into.problems.append(document.diagnose(document.where(path), error.message, error.remedy))
            into.failed.add(path)
            return ""
        secret = secret or isinstance(value, Secret)
        return reveal(value)

    result = _REFERENCE.sub(replace, text)
    whole = _REFERENCE.fullmatch(text)
    if whole and whole.group(1) is not None:
        into.loose.add(path)
    if not secret:
        return result
    marked = Secret(result)
    into.secrets.append(marked)
    return marked


def _value(reference: str, sources: Sources, into: Resolved) -> str:
    """The value of what stands in `${...}`: a Secret when it is one."""
    scheme, colon, rest = reference.partition(":")
    if scheme == "env" and colon:
        name, has_default, default = rest.partition(":-")
        value = _variable(name, sources.environ, default if has_default else None)
    elif scheme == "file" and colon:
        name, value = rest, _file(rest, sources)
    elif not colon and _NAME.fullmatch(reference):
        name = reference
        value = _given(name, sources)
    else:
        raise PipelineError(f"'${{{reference[:60]}}}' is not a reference", remedy=_FORMS)
    return _marked(value, names_a_secret(name), into)


def _marked(value: str, secret: bool, into: Resolved) -> str:
    if isinstance(value, Secret) or (secret and value):
        into.secrets.append(marked := value if isinstance(value, Secret) else Secret(value))
        return marked
    if password := password_in(value):
        into.secrets.append(Secret(password))
        return Secret(value)
    return value


def _variable(name: str, environ: Mapping[str, str], default: str | None) -> str:
    if not _NAME.fullmatch(name):
        raise PipelineError(f"'{name[:60]}' is not the name of a variable", remedy="as in ${env:REGISTRY}")
    value = environ.get(name)
    if default is not None:
        value = value or default
    if value is None:
        remedy = f"export {name}=..., or give a default: ${{env:{name}:-...}}"
        raise PipelineError(f"the environment variable {name} is not set", remedy=remedy)
    return _checked(value, f"the environment variable {name}")


def _given(name: str, sources: Sources) -> str:
    if name in sources.sets:
        return _checked(sources.sets[name], f"--set {name}")
    if name in sources.environ:
        remedy = f"write ${{env:{name}}} for the environment variable, or give --set {name}=..."
    else:
        remedy = f"give --set {name}=..., or write $${{{name}}} for the text itself"
    raise PipelineError(f"the variable {name} is not set", remedy=remedy)


def _file(relative: str, sources: Sources) -> str:
    """A file's text without its last newline. One outside the project, by an absolute path, is a secret."""
    from pipeline.manifest.reader import read_bytes

    secret = names_a_secret(Path(relative).name)
    try:
        path = sources.base / relative
        if relative.startswith("/"):
            root, real = os.path.realpath(sources.root), os.path.realpath(path)
            secret = secret or os.path.commonpath([root, real]) != root
        else:
            path = paths.inside(sources.root, sources.base, relative)
        data = read_bytes(path)
    except OSError as error:
        raise PipelineError(f"the file '{relative}' cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PipelineError(f"'{relative}' {error.args[0]}", remedy=str(error.args[-1])) from None
    try:
        text = _checked(data.decode(), f"the file '{relative}'")
    except UnicodeDecodeError:
        raise PipelineError(f"the file '{relative}' is not UTF-8 text", remedy="save it as UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    return Secret(text) if secret and text else text


def _checked(value: str, what: str) -> str:
    """Refuses what no configuration can hold: NUL, and bytes of the environment that are not UTF-8."""
    if "\0" in value:
        raise PipelineError(f"{what} holds a NUL character", remedy="remove it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PipelineError(f"{what} is not UTF-8 text", remedy="set it to UTF-8 text") from None
    return value
