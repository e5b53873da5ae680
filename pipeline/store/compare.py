"""Compares two images of the store: what only one holds is read, and content only where all else is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.facts import Platform
from pipeline.oci import image_diff
from pipeline.oci.image_diff import ImageDiff, Packages
from pipeline.oci.requires_find import READ, Evidence
from pipeline.store import Store
from pipeline.store.image_files import ImageFiles
from pipeline.store.lookup import Found, ImageDocuments, choose, find
from pipeline.store.members import Member, digests, members, merged


def compare(
    store: Store, old: str, new: str, platform: Platform | None = None, machine: Platform | None = None
) -> ImageDiff:
    """How the image `new` differs from `old`; of several platforms `platform`, else the `machine`'s.

    Raises UsageError for an unknown name or platform, StoreError when an image is damaged.
    """
    sides = [_Side(store, name, platform, machine) for name in (old, new)]
    before, after = sides
    found = list(image_diff.files(before.tree, after.tree, _Contents(*sides).same))
    common = {layer.diff_id: layer for layer in before.image.layers}
    shared = [layer.blob for layer in after.image.layers if layer.diff_id in common]
    return ImageDiff(
        old=str(before.found),
        new=str(after.found),
        old_digest=before.image.descriptor.digest,
        new_digest=after.image.descriptor.digest,
        shared=tuple(blob.digest for blob in shared),
        shared_size=sum({blob.digest: blob.size for blob in shared}.values()),
        layers=tuple(image_diff.layers(before.image.layers, after.image.layers, found)),
        packages=image_diff.packages(before.packages(), after.packages()),
        settings=image_diff.changes(*(image_diff.settings(side.image.config.get("config") or {}) for side in sides)),
        files=tuple(found),
    )


class _Side:
    """One of the two images: its documents and its files."""

    def __init__(self, store: Store, name: str, platform: Platform | None, machine: Platform | None) -> None:
        self.store = store
        self.found: Found = find(store, name)
        self.image: ImageDocuments = choose(store, self.found, platform, machine)
        self.tree = merged(members(store, one, number) for number, one in enumerate(self.image.layers, 1))

    def packages(self) -> Packages:
        evidence = Evidence(ImageFiles(self.store, self.image.layers, READ[2:4]))
        versions: dict[tuple[str, str], set[str]] = {}
        worlds: Sequence[tuple[str, Any]] = (
            ("apt", evidence.apt.values()),
            ("pip", evidence.pip),
            ("conda", evidence.conda),
        )
        for world, there in worlds:
            for one in there:
                versions.setdefault((world, one.name), set()).add(one.version or "?")
        return {key: ", ".join(sorted(each)) for key, each in versions.items()}


class _Contents:
    """Hashes of the files that both images have with the same size in layers of their own; each layer read once."""

    def __init__(self, old: _Side, new: _Side) -> None:
        self._sides = (old, new)
        pairs = [
            (path, before, after)
            for path, before in old.tree.items()
            if (after := new.tree.get(path)) and before.type == after.type == "file" and before.size == after.size
            if self._diff_id(old, before) != self._diff_id(new, after)
        ]
        self._old = self._read(old, {path: before.layer for path, before, _ in pairs})
        self._new = self._read(new, {path: after.layer for path, _, after in pairs})

    @staticmethod
    def _diff_id(side: _Side, member: Member) -> str:
        return side.image.layers[member.layer - 1].diff_id

    @staticmethod
    def _read(side: _Side, wanted: dict[str, int]) -> dict[str, str]:
        found: dict[str, str] = {}
        for number in sorted(set(wanted.values())):
            paths = {path for path, layer in wanted.items() if layer == number}
            found |= digests(side.store, side.image.layers[number - 1], paths)
        return found

    def same(self, path: str) -> bool:
        """What was not read is in one layer that both have."""
        return self._old.get(path) == self._new.get(path)
