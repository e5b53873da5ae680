"""Whose a manifest's name is: services are known by it, so that on one server only one manifest has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.serve.model import Entry, Tracked

TWICE = "this manifest is called"
"""How the error of a manifest begins that has the name of another."""


def is_twice(one: Entry | None) -> bool:
    """Whether a manifest has the name of another, and must therefore not change what is live."""
    return one is not None and one.error.startswith(TWICE) and not one.gone


def conflicts(entries: Sequence[Entry], before: Iterable[Entry], others: Sequence[Entry] = ()) -> dict[Tracked, str]:
    """What is wrong with those of a repository's manifests that have the name of another. Who had a name `before` keeps
    it; `others` are the manifests of the server's other repositories.
    """
    held = {(one.manifest, one.name) for one in (*before, *others) if not one.gone and not is_twice(one)}
    everybody = [*entries, *(one for one in others if not is_twice(one))]
    holders: dict[str, Tracked] = {}
    wrong: dict[Tracked, str] = {}
    for one in sorted(everybody, key=lambda one: ((one.manifest, one.name) not in held, one.manifest.id)):
        if one.gone or not one.name:
            continue
        holder = holders.setdefault(one.name, one.manifest)
        if holder != one.manifest:
            where = "" if holder.repository == one.manifest.repository else f" of the repository {holder.repository}"
            wrong[one.manifest] = f"{TWICE} '{one.name}', as {holder.path}{where} is: give one of them another name"
    own = {one.manifest for one in entries}
    return {manifest: words for manifest, words in wrong.items() if manifest in own}


__all__ = ["TWICE", "conflicts", "is_twice"]
