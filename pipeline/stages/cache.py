"""The shared cache: what one machine made, others take from a repository of a registry.

Under the tag of a step's key stands a record (`registry.artifacts`): what the step made, with its layers as the blobs
of an image manifest, so that the registry keeps them. A layer is looked up in one request, for all steps of a plan at
once, and stays where it is until somebody reads its bytes: an image pushed to the same registry mounts it, to another
registry it is streamed, and only a check or a target that runs the image fetches it. What a layer holds comes apart
from its bytes, for what is checked by names alone. Records of images and pushes carry the image manifests and configs:
an image that is in its registry needs no layer at all. Beside results of steps there are memories: that no shared
library is lacking, or which gzip blob a layer was packed to for a registry.

A key is a hash of all that goes in, so two machines that write the same tag write the same thing, and the last one
wins; a tag moves when all its blobs are there, so a kill leaves nothing half. Whatever is read is verified by its
digest, and a blob that is not read is asked for before it is counted on: a record whose layer is gone is a miss. Who
may write to the repository is trusted as who builds.

Nothing that goes wrong here fails a run: it warns, and works as if there were no cache.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline import __version__
from pipeline.digest import Digest, cache_key
from pipeline.errors import StoreError
from pipeline.oci.descriptor import MANIFEST, Descriptor, Layer
from pipeline.plan.model import Plan, Step, Verdict
from pipeline.reference import below
from pipeline.stages.alone import Alone
from pipeline.stages.cache_tags import images_of, is_shared, sighting, tag, tag_of

if TYPE_CHECKING:
    from pipeline.manifest.model import Cache
    from pipeline.stages.bench import Bench
    from pipeline.stages.cache_reader import Reader
    from pipeline.stages.cache_writer import Uploads

_PARALLEL = 16
_FRESH = 86400.0
"""Seconds for which it is believed that what was put there still is."""
_AGAIN = 5.0
"""Seconds after which a step that is about to be made is looked up once more: another machine may have been at it."""


class SharedCache(Alone):
    """The cache that a manifest names; its threads share it."""

    def __init__(self, bench: Bench, settings: Cache) -> None:
        super().__init__(bench.store.database)
        self._bench = bench
        self._settings = settings
        self._words = f"cache {settings.registry}/{settings.repository}"
        entry = bench.manifest.registries[settings.registry]
        self._where = below(entry.address, settings.repository, entry.location)
        self._asked: dict[str, float] = {}
        self._taken: set[str] = set()
        self._unknown: set[str] = set()
        self._warned: set[str] = set()
        self._offered: dict[str, Mapping[str, Any]] = {}

    # Imported when there is something to ask or to send: most often there is not.

    @cached_property
    def _reader(self) -> Reader:
        from pipeline.stages.cache_reader import Reader

        return Reader(self._bench, self._where, self._warn)

    @cached_property
    def _uploads(self) -> Uploads:
        from pipeline.stages.cache_writer import Uploads

        return Uploads(self._bench, self._where, self._warn)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._bench.warn(f"the {self._words} {text}")

    # -- taking -------------------------------------------------------------------------------------------------

    def expect(self, steps: Sequence[Step]) -> None:
        if not self._settings.read:
            return
        wanted = [step for step in steps if is_shared(step) and not self._here(step)]
        # The first alone, so that a registry out of reach, or that wants a token, is met once.
        for step in wanted[:1]:
            self._ask(step)
        if rest := wanted[1:]:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(min(_PARALLEL, len(rest)), thread_name_prefix="cache") as pool:
                list(pool.map(self._ask, rest))

    def find(self, step: Step) -> bool:
        if not self._settings.read or not is_shared(step):
            return False
        return time.monotonic() - self._asked.get(step.id, 0.0) > _AGAIN and self._ask(step)

    def result(self, what: str, key: str) -> Mapping[str, Any] | None:
        return self._reader.result(tag(what, key)) if self._settings.read else None

    def lends(self, digest: Digest) -> bool:
        return self._settings.read and self._reader.lends(digest)

    def contents(self, layer: Layer) -> bool:
        return self._settings.read and self._reader.contents(layer)

    def known(self, name: str) -> Any:
        value = super().known(name)
        if value is not None or name in self._unknown:
            return value
        if found := self.result("memo", _memo_key(name)):
            super().tell(name, found["value"])
            return found["value"]
        self._unknown.add(name)
        return None

    def _here(self, step: Step) -> bool:
        """Whether this machine has what a step made, bytes included."""
        record, store = self._bench.store.database.record(step.key), self._bench.store
        if record is None:
            return False
        images = [Descriptor.from_json(image) for image in images_of(record)]
        whole = all(store.blobs.has(image.digest, image.size) for image in images)
        return whole and all(store.has_layer(layer) for layer in _layers(record))

    def _ask(self, step: Step) -> bool:
        """Takes over what others made of a step; a record that is known already is only confirmed."""
        self._asked[step.id] = time.monotonic()
        record: Mapping[str, Any] | None = self._bench.store.database.record(step.key)
        if not (record and _layers(record) and all(self._reader.has(layer.blob) for layer in _layers(record))):
            record = self._reader.result(tag_of(step))
            if record is None:
                return False
            self._bench.store.database.adopt(step.key, record)
            super().tell(sighting(self._where.name, tag_of(step)), time.time())
        self._taken.add(step.id)
        return True

    # -- telling ------------------------------------------------------------------------------------------------

    def told(self, plan: Plan) -> Plan:
        taken = {id_: Verdict(True, self._words) for id_ in self._taken if plan.verdicts[id_].hit}
        return replace(plan, verdicts={**plan.verdicts, **taken})

    def settle(self, step: Step, name: str) -> None:
        store = self._bench.store
        if step.id in self._taken and (record := store.database.record(step.key)) is not None:
            store.database.note(step.key, f"{name} {step.id}", step.inputs, time.time())
            if step.kind == "image":
                store.name_image(f"{name}/{step.name}", Descriptor.from_json(record["image"]))
        elif self._gives and is_shared(step) and not self._is_fresh(tag_of(step)) and self._here(step):
            record = store.database.record(step.key) or {}
            self._offered[tag_of(step)] = record
            if step.kind == "push" and "built" in record:
                from pipeline.store.recompress import offer

                with suppress(StoreError):
                    offer(store, Descriptor(MANIFEST, Digest(record["built"]), 0), self)

    # -- giving -------------------------------------------------------------------------------------------------

    def write(self, step: Step, record: Mapping[str, Any]) -> None:
        if self._gives and is_shared(step):
            self._uploads.share(tag_of(step), record)

    def share(self, what: str, key: str, record: Mapping[str, Any]) -> None:
        if self._settings.write:
            self._offered[tag(what, key)] = record

    def tell(self, name: str, value: Any, layers: Sequence[Layer] = ()) -> None:
        super().tell(name, value, layers)
        if self._gives:
            record = {"value": value, "layers": [layer.to_json() for layer in layers]}
            self._uploads.share(tag("memo", _memo_key(name)), record)

    def offer(self, name: str, value: Any, layers: Sequence[Layer] = ()) -> None:
        self.share("memo", _memo_key(name), {"value": value, "layers": [layer.to_json() for layer in layers]})

    def finish(self) -> None:
        offered, self._offered = self._offered, {}
        for name, record in offered.items():
            if self._gives and not self._is_fresh(name):
                self._uploads.share_if_new(name, record)
        if "_uploads" in self.__dict__:
            self._uploads.finish()

    @property
    def _gives(self) -> bool:
        return self._settings.write and not ("_reader" in self.__dict__ and self._reader.gone)

    def _is_fresh(self, name: str) -> bool:
        """Whether a record was seen there not long ago."""
        seen = super().known(sighting(self._where.name, name)) or 0.0
        # A clock may have been ahead.
        return bool(abs(time.time() - seen) < _FRESH)


def _memo_key(name: str) -> str:
    """Other versions may find out something else under the same name."""
    return cache_key([__version__, name])


def _layers(record: Mapping[str, Any]) -> list[Layer]:
    return [Layer.from_json(layer) for layer in record.get("layers", ())]
