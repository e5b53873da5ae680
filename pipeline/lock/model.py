"""The lock: what a manifest resolved to, by file name, version and hash, and never by host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from pipeline.digest import cache_key
from pipeline.noun import noun

VERSION = 2
"""Of the format that is written."""


@noun
class LockEntry:
    """One base or layer, resolved: `request` is the hash of what was asked, `locked` the kind's answer.

    `asked` is what was asked in words for people (pipeline.lock.asked); None in a lock that did not keep it.
    """

    kind: str
    request: str
    locked: Any
    asked: Any = None

    def answers(self, kind: str, request: str) -> bool:
        return self.kind == kind and self.request == request


@noun
class Lock:
    """All entries by id, such as `layers.science linux/amd64 libc=2.36 python=3.11`.

    `files` has rows on the project's own files for each base or layer that is made of such (`layers.code`), as its kind
    tells them; `packer` is the version of the packers, which the bytes of layers depend on. `version` is that of the
    format it was read from.
    """

    entries: Mapping[str, LockEntry] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    packer: str = ""
    version: int = VERSION

    def before(self, id_: str, kind: str, request: str) -> LockEntry | None:
        """What comes nearest to an answer: the entry itself, else the same base or layer for other needs, on the same
        platform if there is one, else another of the same kind that was asked the same.
        """
        _, platform, needs = _parts(id_)
        own = {other: entry for other, entry in self.entries.items() if head_of(other) == head_of(id_)}
        near = own or {other: entry for other, entry in self.entries.items() if entry.answers(kind, request)}

        def likeness(other: str) -> tuple[bool, bool, int, str]:
            _, there, words = _parts(other)
            return other == id_, there == platform, len(words & needs), other

        return near[max(near, key=likeness)] if near else None

    def answering(self, id_: str, kind: str, request: str) -> str:
        """The id of the entry that answers for `id_`: itself, else the same with the newest of older glibcs, for what
        was chosen for an older one works with a newer.
        """
        name, platform, needs = _parts(id_)
        libc = _libc(needs)
        if id_ in self.entries or not libc:
            return id_
        older: dict[tuple[int, ...], str] = {}
        for other, entry in self.entries.items():
            there = _parts(other)
            same = there[:2] == (name, platform) and _without_libc(there[2]) == _without_libc(needs)
            if same and entry.answers(kind, request) and () < _libc(there[2]) <= libc:
                older[_libc(there[2])] = other
        return older[max(older)] if older else id_


def _libc(needs: set[str]) -> tuple[int, ...]:
    """The glibc among an id's needs; empty for none."""
    text = next((need.partition("=")[2] for need in needs if need.startswith("libc=")), "")
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _without_libc(needs: set[str]) -> set[str]:
    return {need for need in needs if not need.startswith("libc=")}


def request_hash(request: Any) -> str:
    return cache_key(request)[:32]


def entry_id(section: str, name: str, platform: str, needs: Mapping[str, str]) -> str:
    return " ".join([head(section, name), platform, *(f"{key}={value}" for key, value in sorted(needs.items()))])


def head(section: str, name: str) -> str:
    """What the ids of a base's or a layer's entries begin with: `layers.science`."""
    return f"{section}.{name}"


def head_of(id_: str) -> str:
    """The base or layer that an entry is of: `layers.science`."""
    return id_.partition(" ")[0]


def _parts(id_: str) -> tuple[str, str, set[str]]:
    name, platform, *needs = [*id_.split(" "), ""][: max(2, id_.count(" ") + 1)]
    return name, platform, {*needs}


def path_of(manifest: Path) -> Path:
    """`prod.lock` beside `prod.yaml`."""
    return manifest.with_suffix(".lock")
