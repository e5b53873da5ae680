"""Remembers which image manifests a repository was seen with, and so which blobs need no looking up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.store.database import Database

_IMAGES = 4
_REPOSITORIES = 64
"""How many of the latest are remembered: image manifests of a repository, and repositories of a registry."""

Images = Mapping[str, list[str]]
"""Image manifests' digests, oldest first, to the digests of their blobs."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What one registry was seen with. A memory only tells where to look: nothing is taken for there because of it."""

    database: Database
    registry: str

    def images(self, repository: str) -> Images:
        return self._all().get(repository) or {}

    def holders(self, digest: str) -> list[str]:
        """Repositories that had a blob, the latest first: where it may be mounted from."""
        found = [name for name, images in self._all().items() if any(digest in blobs for blobs in images.values())]
        return found[::-1]

    def keep(self, repository: str, images: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Notes image manifests, each with its blobs, as the latest of a repository."""
        with self.database.transaction():
            everything = dict(self._all())
            known: dict[str, list[str]] = dict(everything.pop(repository, {}))
            for digest, blobs in images:
                known.pop(digest, None)
                known[digest] = list(blobs)
            everything[repository] = dict(list(known.items())[-_IMAGES:])
            self.database.remember(self._key, dict(list(everything.items())[-_REPOSITORIES:]))

    def _all(self) -> Mapping[str, dict[str, list[str]]]:
        return self.database.memo(self._key) or {}

    @property
    def _key(self) -> str:
        return f"registry {self.registry}"
