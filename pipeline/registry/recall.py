"""Remembers which image manifests a repository was seen with, and so which blobs need no looking up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.noun import noun
from pipeline.store.database import Database

_IMAGES = 4
"""How many of the latest are remembered: image manifests of a repository, and repositories that had a blob."""

Images = Mapping[str, list[str]]
"""Image manifests' digests, oldest first, to the digests of their blobs."""


@noun
class Recall:
    """What one registry was seen with. A memory only tells where to look: nothing is taken for there because of it.

    Each repository and each blob has a memory of its own: what one push costs does not grow with their number.
    """

    database: Database
    registry: str

    def images(self, repository: str) -> Images:
        return self.database.memo(self._of_repository(repository)) or {}

    def holders(self, digest: str) -> list[str]:
        """Repositories that had a blob, the latest first: where it may be mounted from."""
        return list(reversed(self.database.memo(self._of_blob(digest)) or ()))

    def keep(self, repository: str, images: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Notes image manifests, each with its blobs, as the latest of a repository."""
        with self.database.transaction():
            known: dict[str, list[str]] = dict(self.images(repository))
            for digest, blobs in images:
                known.pop(digest, None)
                known[digest] = list(blobs)
                for blob in blobs:
                    self._note_holder(blob, repository)
            self.database.remember(self._of_repository(repository), dict(list(known.items())[-_IMAGES:]))

    def upload(self, repository: str, digest: str) -> str:
        """Where an upload that did not end goes on; empty for none."""
        return str(self.database.memo(self._of_upload(repository, digest)) or "")

    def note_upload(self, repository: str, digest: str, location: str) -> None:
        """Notes the place of an upload under way; empty when it has ended."""
        if location or self.upload(repository, digest):
            self.database.remember(self._of_upload(repository, digest), location)

    def _note_holder(self, blob: str, repository: str) -> None:
        names: list[str] = self.database.memo(self._of_blob(blob)) or []
        if repository not in names:
            self.database.remember(self._of_blob(blob), [*names, repository][-_IMAGES:])

    def _of_repository(self, name: str) -> str:
        return f"registry {self.registry} repository {name}"

    def _of_upload(self, repository: str, digest: str) -> str:
        return f"registry {self.registry} upload {repository} {digest}"

    def _of_blob(self, digest: str) -> str:
        return f"registry {self.registry} blob {digest}"
