"""Takes from the shared cache: records by their tags, and which blobs are to be had there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.digest import Digest
from pipeline.errors import Interrupted, PipelineError
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.reference import Reference
from pipeline.registry import artifacts
from pipeline.registry.problems import Damaged, Denied, NotFound, Refused, Unauthorized
from pipeline.stages.cache_records import MEDIA_TYPE, Shared, unpack

if TYPE_CHECKING:
    from pipeline.stages.bench import Bench


class Reader:
    """Questions to the repository `where`. What fails is told by `warn`, and answered as not there: a registry that is
    `gone`, or refuses to be read, is not asked again.
    """

    def __init__(self, bench: Bench, where: Reference, warn: Callable[[str], None]) -> None:
        self._bench = bench
        self._where = where
        self._warn = warn
        self._off = False
        self.gone = False
        self._lent: dict[Digest, bool] = {}
        self.repository = bench.registries.repository(where)

    def result(self, tag: str) -> Mapping[str, Any] | None:
        """The record of a tag, when every layer of it is here or certainly to be had; its bytes stay where they are."""
        shared = self._shared(tag)
        if shared is None:
            return None
        self._note(shared)
        return shared.record if all(self.has(layer.blob) for layer in shared.layers) else None

    def has(self, blob: Descriptor) -> bool:
        """Whether a blob is in the store, or can be fetched."""
        return self._bench.store.blobs.has(blob.digest, blob.size) or self.lends(blob.digest)

    def lends(self, digest: Digest) -> bool:
        """Whether the repository has a blob at this moment, asked once."""
        if digest not in self._lent:
            known = self._bench.origins.place(digest) == self._where.name
            self._lent[digest] = known and self._asked(lambda: self.repository.has_blob(digest), False)
        return self._lent[digest]

    def contents(self, layer: Layer) -> bool:
        """Fetches what a layer holds, which is small beside the layer."""
        known = self._bench.store.database.memo(_memo(layer))
        data = self._asked(lambda: artifacts.read(self.repository, Descriptor.from_json(known)), b"") if known else b""
        if data:
            self._bench.store.put_contents_file(layer, data)
        return bool(data)

    def _shared(self, tag: str) -> Shared | None:
        found = self._asked(lambda: artifacts.get(self.repository, tag, MEDIA_TYPE), None)
        with self._minding():
            return unpack(tag, found) if found else None
        return None

    def _note(self, shared: Shared) -> None:
        """Keeps where blobs can be had, and the documents themselves."""
        store = self._bench.store
        missing = [layer for layer in shared.layers if not store.blobs.has(layer.blob.digest, layer.blob.size)]
        self._bench.origins.note_registry(missing, self._where, cached=True)
        for layer in missing:
            self._lent.pop(layer.blob.digest, None)
        for layer in shared.layers:
            if not store.knows(layer) and (blob := shared.contents.get(layer.diff_id)):
                store.database.remember(_memo(layer), blob.to_json())
        for data in shared.documents:
            store.blobs.put(data)

    def _asked(self, ask: Callable[[], Any], otherwise: Any) -> Any:
        if self._off:
            return otherwise
        with self._minding():
            return ask()
        return otherwise

    @contextmanager
    def _minding(self) -> Iterator[None]:
        try:
            yield
        except Interrupted:
            raise
        except NotFound:
            pass
        except PipelineError as error:
            if isinstance(error, Damaged) or (isinstance(error, Refused) and error.status):
                self._warn(f"holds something that is of no use: {error}")
                return
            self._off = True
            # Whoever may not read, or not what is not there yet, may still be allowed to write.
            self.gone = not isinstance(error, Denied | Unauthorized)
            self._warn(f"cannot be read, going on without it: {error}")


def _memo(layer: Layer) -> str:
    return f"cached contents {layer.diff_id}"
