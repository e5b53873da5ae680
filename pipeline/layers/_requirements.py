"""What a pip layer asks for: inline requirements and requirement files, includes followed, options taken apart.

The format is pip's (pip documentation, "Requirements File Format"). Wheels only: what names a source is refused here.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import Location, ResolveError
from pipeline.kinds import Files
from pipeline.layers._environment import read
from pipeline.manifest.model import Secret

_COMMENT = re.compile(r"(^|\s+)#.*$")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_VCS = re.compile(r"(^|@\s*)(git|hg|svn|bzr)(\+|://)")
_NAMED_URL = re.compile(r"^\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*@\s*(?P<url>\S+)")
_OPTION = re.compile(r"^(--?[A-Za-z][\w-]*)(?:\s*=\s*|\s*)(.*)$")
_HASH = re.compile(r"--hash[=\s]\s*(\w+):([0-9a-fA-F]+)")
_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)")
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links", "-e": "--editable"}
# What changes nothing when every package is a wheel.
_IDLE = {"--only-binary", "--prefer-binary", "--use-feature", "--use-pep517", "--no-build-isolation", "--no-cache-dir"}


@dataclass(slots=True)
class Requested:
    """Requirements and where to look for them. Index addresses may hold credentials: use `public()` for what is shown.

    `hashes` maps a package's normalised name to the sha256 digits that its requirements allow.
    """

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    index: str = ""
    extra_index: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    trusted_host: list[str] = field(default_factory=list)
    no_index: bool = False
    pre: bool = False
    no_deps: bool = False
    require_hashes: bool = False
    hashes: dict[str, set[str]] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """All that was asked for as JSON, without credentials and without what is left at its default."""
        value: dict[str, Any] = {
            "requirements": [public(line) for line in self.requirements],
            "constraints": [public(line) for line in self.constraints],
            "index": public(self.index),
            "extra_index": [public(url) for url in self.extra_index],
            "find_links": [public(place) for place in self.find_links],
            "no_index": self.no_index,
            "pre": self.pre,
            "no_deps": self.no_deps,
            "require_hashes": self.require_hashes,
        }
        return {key: part for key, part in value.items() if part}

    def direct(self) -> dict[str, str]:
        """The address of each package that was asked for by its address, by normalised name."""
        found = (_NAMED_URL.match(line) for line in self.requirements)
        return {normalise(match["name"]): match["url"] for match in found if match}


def public(text: str) -> str:
    """`text` as it may be shown and kept: no secret, no credentials in an address."""
    return str(text) if isinstance(text, Secret) else _CREDENTIALS.sub("", text)


def normalise(name: str) -> str:
    """A project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project_of(line: str) -> str:
    """The normalised name of the project that a requirement asks for; empty where it has none."""
    name = _NAME.match(line)
    return normalise(name[1]) if name else ""


def gather(spec: Mapping[str, Any], files: Files) -> Requested:
    """Everything a pip layer's settings, or a conda layer's in `environment`, ask for.

    Raises ResolveError, with the line, for what a wheel cannot answer.
    """
    wanted = Requested(
        index=_reveal(spec.get("index", "")),
        extra_index=[_reveal(url) for url in _list(spec.get("extra_index"))],
        find_links=[_reveal(place) for place in _list(spec.get("find_links"))],
        pre=bool(spec.get("pre")),
        no_deps=bool(spec.get("no_deps")),
    )
    for text in _list(spec.get("packages")):
        _add(wanted, _reveal(text), wanted.requirements, None)
    for path in _list(spec.get("requirements")):
        _read(wanted, path, files, wanted.requirements, ())
    for path in _list(spec.get("constraints")):
        _read(wanted, path, files, wanted.constraints, ())
    if environment := spec.get("environment"):
        found = read(environment, files)
        _lines(wanted, f"{found.file} (pip)", "\n".join(found.pip), files, wanted.requirements, ())
    return wanted


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _reveal(text: str) -> str:
    return text.reveal() if isinstance(text, Secret) else text


def _read(wanted: Requested, path: str, files: Files, into: list[str], parents: tuple[str, ...]) -> None:
    _lines(wanted, path, files.text(path), files, into, parents)


def _lines(wanted: Requested, path: str, text: str, files: Files, into: list[str], parents: tuple[str, ...]) -> None:
    for number, line in _logical_lines(text):
        place = Location(path, number, 1)
        if not line.startswith("-"):
            _add(wanted, line, into, place)
            continue
        match = _OPTION.match(line)
        option, value = (match[1], match[2].strip()) if match else (line, "")
        option = _SHORT.get(option, option)
        # -rfile, as pip's parser allows: the letter and its value in one word.
        if line[:2] in _SHORT and not line.startswith("--"):
            option, value = _SHORT[line[:2]], line[2:].lstrip(" =").strip()
        if option in ("--requirement", "--constraint"):
            inner = _included(path, value, place, (*parents, path))
            if inner:
                _read(wanted, inner, files, into if option == "--requirement" else wanted.constraints, (*parents, path))
        else:
            _option(wanted, option, _unquote(value), path, place)


def _included(path: str, value: str, place: Location, parents: tuple[str, ...]) -> str:
    """The path of an included file, relative to the manifest; empty for one that is being read already."""
    if "://" in value:
        raise ResolveError(
            f"{public(value)} is not in the project", remedy="download it into the project and include it", place=place
        )
    inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), _unquote(value)))
    return "" if inner in parents else inner


def _option(wanted: Requested, option: str, value: str, path: str, place: Location) -> None:
    if option in ("--index-url", "--pypi-url"):
        wanted.index = wanted.index or value
    elif option == "--extra-index-url":
        wanted.extra_index.append(value)
    elif option == "--find-links":
        local = "://" not in value and not value.startswith("/")
        wanted.find_links.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), value)) if local else value)
    elif option == "--trusted-host":
        wanted.trusted_host.append(value)
    elif option == "--no-index":
        wanted.no_index = True
    elif option == "--pre":
        wanted.pre = True
    elif option == "--require-hashes":
        wanted.require_hashes = True
    elif option == "--editable":
        _refuse(value, "an editable install", place)
    elif option == "--no-binary" and value != ":none:":
        raise ResolveError(f"{option} {value} asks for sources", remedy="pip layers take wheels only", place=place)
    elif option not in _IDLE and option != "--no-binary":
        raise ResolveError(f"the option {option} is not known", remedy="remove it from the file", place=place)


def _add(wanted: Requested, text: str, into: list[str], place: Location | None) -> None:
    line = text.strip()
    for kind, digits in _HASH.findall(line):
        if kind != "sha256":
            raise ResolveError(f"{kind} hashes are not checked: {line.split()[0]}", remedy="use sha256", place=place)
        name = _NAME.match(line)
        wanted.hashes.setdefault(normalise(name[1] if name else line), set()).add(digits.lower())
    if _VCS.search(line):
        _refuse(line, "a repository of sources", place)
    if re.match(r"https?://", line):
        file = re.split(r"[#?]", line.split()[0])[0].rsplit("/", 1)[-1]
        line = f"{file.split('-')[0]} @ {line}"
    named = _NAMED_URL.match(line)
    if named and not re.match(r"https?://[^#?]+\.whl([#?]|$)", named["url"]):
        _refuse(line, "not the address of a wheel", place)
    if not named and (line.startswith((".", "/", "file:")) or re.search(r"\.(whl|zip|tar\.\w+)$", line.split(" ")[0])):
        _refuse(line, "a path", place)
    if not _NAME.match(line):
        raise ResolveError(f"not a requirement: {public(line)}", remedy="write it as name==version", place=place)
    into.append(line)


def _refuse(what: str, kind: str, place: Location | None) -> None:
    raise ResolveError(
        f"{public(what)} is {kind}",
        remedy="pip layers take wheels only: build one, put it in a folder of the project and name that in find_links",
        place=place,
    )


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, joined where one ends in a backslash, with the number of their first line."""
    start, parts = 0, list[str]()
    for number, raw in enumerate([*text.removeprefix("\ufeff").splitlines(), ""], 1):
        comment = raw.lstrip().startswith("#")
        start = start if parts else number
        if raw.endswith("\\") and not comment:
            parts.append(raw[:-1])
            continue
        joined = _COMMENT.sub("", "".join([*parts, " " if comment else raw])).strip()
        parts = []
        if joined:
            yield start, joined


def _unquote(value: str) -> str:
    return " ".join(shlex.split(value)) if value[:1] in "'\"" else value


def lines(items: Iterable[str]) -> str:
    """A requirement file's text."""
    return "".join(f"{item}\n" for item in items)


def requirement_flaw(line: str) -> str:
    """Why a line is no requirement (PEP 508); empty when it is one, or when `${NAME}` in it leaves that open."""
    from packaging.requirements import InvalidRequirement, Requirement

    # A line's options, such as --hash, are pip's own addition.
    text = line.split(" --")[0].strip()
    try:
        Requirement(text)
    except InvalidRequirement as error:
        return "" if "${" in text else str(error).splitlines()[0]
    return ""
