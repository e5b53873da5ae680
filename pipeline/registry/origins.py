"""Where layers of images from elsewhere can be had, which the store fetches when their bytes are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.digest import Digest, short
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.reference import Reference
from pipeline.registry.repository import Repository
from pipeline.store import Store


class Origins:
    """Remembers and fetches. `repository` opens a repository by its name; `say` tells what is fetched."""

    def __init__(
        self, store: Store, repository: Callable[[Reference | str], Repository], say: Callable[[str], None]
    ) -> None:
        self._store = store
        self._repository = repository
        self._say = say

    def note_registry(self, layers: Iterable[Layer], where: Reference, *, cached: bool = False) -> None:
        """These layers are in a repository: of the image that they are from, or one that is a cache."""
        for layer in layers:
            self._note(layer, {"repository": where.name, **({"cached": True} if cached else {})})

    def note_layout(self, layers: Iterable[Layer], path: Path) -> None:
        """These layers are in an OCI layout, a folder or a tar."""
        for layer in layers:
            self._note(layer, {"layout": str(path)})

    def note_archive(self, layers: Iterable[Layer], path: Path) -> None:
        """These layers come from an archive that `docker save` wrote."""
        for layer in layers:
            self._note(layer, {"archive": str(path)})

    def _note(self, layer: Layer, where: Mapping[str, Any]) -> None:
        value = {**where, "layer": layer.to_json()}
        if self._known(layer.blob.digest) != value:
            self._store.database.remember(f"origin {layer.blob.digest}", value)

    def _known(self, digest: str) -> Any:
        return self._store.database.memo(f"origin {digest}")

    def place(self, digest: str) -> str:
        """The repository (`registry/repository`) that a layer's blob is known to be in; empty for none."""
        return str((self._known(digest) or {}).get("repository", ""))

    def repositories(self, layers: Iterable[Layer], *, cached: bool = True) -> dict[str, Repository]:
        """Which repository has each of these layers' blobs, by digest, as far as it is known; caches count or not."""
        known = {layer.blob.digest: self._known(layer.blob.digest) for layer in layers}
        return {
            digest: self._repository(origin["repository"])
            for digest, origin in known.items()
            if origin and "repository" in origin and (cached or not origin.get("cached"))
        }

    def fetch(self, digest: Digest) -> None:
        """Puts a blob into the store, verified; nothing for one of which no origin is known.

        Raises what transfers raise, and StoreError for a file that is not what it was.
        """
        origin = self._known(digest)
        if origin is None:
            return
        layer = Layer.from_json(origin["layer"])
        with self._store.guard(f"fetch-{short(digest, 32)}"):
            if self._store.blobs.has(digest, layer.blob.size):
                return
            self._had(layer.blob, origin)

    def _had(self, blob: Descriptor, origin: Mapping[str, Any]) -> None:
        if "repository" in origin:
            self._download(blob, origin["repository"])
        elif "layout" in origin:
            from pipeline.store.ingest import layout

            with layout(Path(origin["layout"])) as source:
                source.put(blob, self._store.blobs)
        else:
            from pipeline.store.ingest import saved

            saved(Path(origin["archive"]), self._store)

    def _download(self, blob: Descriptor, name: str) -> None:
        from pipeline.manifest.words import size
        from pipeline.registry.blobs import download

        self._say(f"fetching layer {short(blob.digest)} of {name}, {size(blob.size)}")
        download(self._repository(name), blob, self._store.blobs)
