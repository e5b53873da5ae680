"""What of a store is needed, and by whom: all that can be reached by digests from what has a name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pipeline.noun import noun
from pipeline.store import Store
from pipeline.store.projects import projects, steps_of
from pipeline.store.seal import opened
from pipeline.store.uses import Leased

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LARGEST_DOCUMENT = 4 << 20
"""Bytes of an image manifest that registries have to take (distribution-spec, "Pushing Manifests")."""


@noun
class Needed:
    """Digests of blobs, and diff IDs of layers: `unpacked` are those that services or runs have in use; `keys` are
    those of results that count. `superseded` tells of other digests since when (Unix time in seconds) nothing needs
    them.
    """

    digests: frozenset[str]
    unpacked: frozenset[str]
    keys: frozenset[str]
    superseded: dict[str, float]


def needed(store: Store, leased: Leased, services: Iterable[str], revisions: int, before: float) -> Needed:
    """What names, tags, manifests that are there, running services, the last `revisions` of each target and runs at
    work need. `services` are texts that name what services run; a manifest that was deleted counts for nothing when it
    was last run `before` that time.
    """
    database = store.database
    gone = {name for name, project in projects(database).items() if project.is_gone(before)}
    named = [json.dumps(image.to_json()) for name, (image, _) in store.images().items() if _of(name) not in gone]
    named += [json.dumps(image.to_json()) for (name, _), image in store.tags().items() if _of(name) not in gone]
    keys = set(_standing(store, gone, before))
    keys |= leased.names | set(_revisions(store, revisions))
    running = reachable(store, [*services, *_records(store, leased.names), *leased.names])
    texts = [*named, *_records(store, keys), *(_memos(store) if leased.runs else ())]
    digests = running | reachable(store, texts)
    digests |= reachable(store, _packed(store, digests))
    return Needed(frozenset(digests), frozenset(running), frozenset(keys), _superseded(store, digests))


def reachable(store: Store, texts: Iterable[str]) -> set[str]:
    """Every digest in these texts, and in the documents that they name: configs, image manifests, indexes."""
    found: set[str] = set()
    left = [digest for text in texts for digest in _DIGEST.findall(text)]
    while left:
        digest = left.pop()
        if digest not in found:
            found.add(digest)
            left += _DIGEST.findall(_document(store.folder / "blobs" / digest.replace(":", "/")))
    return found


def _document(path: Path) -> str:
    """A blob's text when it may be JSON; what else looks like it names nothing, or too much, which does no harm."""
    try:
        with path.open("rb") as file:
            start = file.read(1)
            return (start + file.read(_LARGEST_DOCUMENT)).decode("latin-1") if start == b"{" else ""
    except OSError:
        return ""


def _of(image: str) -> str:
    """The manifest of an image's name, MANIFEST/IMAGE."""
    return image.partition("/")[0]


def _standing(store: Store, gone: Collection[str], before: float) -> Iterator[str]:
    """The keys of the steps of manifests that are there; of steps that such a manifest has no more, those made since
    `before`.
    """
    steps: dict[str, frozenset[str] | None] = {}
    for step, key, made in store.database.execute("SELECT step, key, made FROM lineage"):
        name, _, id_ = step.partition(" ")
        if name not in steps:
            steps[name] = steps_of(store.database, name)
        known = steps[name]
        if name not in gone and (known is None or id_ in known or made >= before):
            yield key


def _records(store: Store, keys: Iterable[str]) -> list[str]:
    found = (store.database.record(key) for key in keys)
    return [json.dumps(record) for record in found if record is not None]


def _revisions(store: Store, count: int) -> list[str]:
    """The keys of the last rollouts of each target, the newest first."""
    rows = store.database.execute("SELECT key, record FROM keys WHERE record LIKE '%\"service\"%' ORDER BY made DESC")
    kept: dict[str, list[str]] = {}
    for key, record in rows:
        if service := (opened(key, record) or {}).get("service"):
            kept.setdefault(service, []).append(key)
    return [key for keys in kept.values() for key in keys[:count]]


def _memos(store: Store) -> list[str]:
    """All that is remembered of blobs: a run at work may be about to use any of it."""
    return [value for (value,) in store.database.execute("SELECT value FROM memos WHERE value LIKE '%sha256:%'")]


def _packed(store: Store, digests: Collection[str]) -> list[str]:
    """What needed layers were packed to for registries."""
    rows = store.database.execute("SELECT key, value FROM memos WHERE key >= 'gzip ' AND key < 'gzip!'")
    return [value for key, value in rows if key.rpartition(" ")[2] in digests]


def _superseded(store: Store, digests: set[str]) -> dict[str, float]:
    """Since when something else stands for what steps made before."""
    rows = store.database.execute(
        "SELECT lineage.made, keys.record FROM lineage JOIN keys ON keys.key = lineage.key_before"
    )
    found: dict[str, float] = {}
    for at, record in rows:
        for digest in reachable(store, [record]) - digests:
            found[digest] = max(at, found.get(digest, 0.0))
    return found
