"""Puts results into the shared cache: in the background of a run, and before it ends."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import Interrupted, PipelineError, StoreError
from pipeline.oci.descriptor import Descriptor
from pipeline.reference import Reference
from pipeline.registry import artifacts
from pipeline.registry.blobs import FromFile, Source
from pipeline.registry.problems import NotFound, Refused
from pipeline.registry.recall import Recall
from pipeline.stages.cache_records import MEDIA_TYPE, pack
from pipeline.stages.cache_tags import sighting

if TYPE_CHECKING:
    from pipeline.stages.bench import Bench

_THREADS = 4


class Uploads:
    """Records on their way to the repository `where`, in threads that a second Ctrl-C leaves behind.

    What fails is told by `warn`; once a registry is out of reach, or refuses to be written to, nothing more is sent.
    """

    def __init__(self, bench: Bench, where: Reference, warn: Callable[[str], None]) -> None:
        self._bench = bench
        self._where = where
        self._warn = warn
        self._off = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def share(self, tag: str, record: Mapping[str, Any]) -> None:
        """Puts a result there, whatever is there by now."""
        self._add(lambda: self._put(tag, record))

    def share_if_new(self, tag: str, record: Mapping[str, Any]) -> None:
        """As `share`, unless it is there."""
        self._add(lambda: self._put_if_new(tag, record))

    def finish(self) -> None:
        """Returns when everything has been sent."""
        with self._lock:
            threads, self._threads = self._threads, []
            for _ in threads:
                self._jobs.put(None)
        if threads:
            self._bench.say("", "sending what was made to the cache")
        for thread in threads:
            thread.join()

    def _add(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.put(job)
            if len(self._threads) < _THREADS:
                thread = threading.Thread(target=self._work, name="share", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while job := self._jobs.get():
            if self._off or self._bench.halt.is_set():
                continue
            try:
                job()
            except Interrupted:
                continue
            except (PipelineError, OSError) as error:
                # One layer that is too large, or gone from the store by now, says nothing of the others.
                self._off = self._off or not (
                    isinstance(error, StoreError | OSError) or (isinstance(error, Refused) and error.status == 413)
                )
                self._warn(f"was not written to: {error}")

    def _put_if_new(self, tag: str, record: Mapping[str, Any]) -> None:
        try:
            self._bench.registries.repository(self._where).resolve(tag)
        except NotFound:
            self._put(tag, record)
        else:
            self._seen(tag)

    def _put(self, tag: str, record: Mapping[str, Any]) -> None:
        store, registries = self._bench.store, self._bench.registries
        artifact, data = pack(tag, record, store)
        repository = registries.repository(self._where)
        recall = Recall(store.database, repository.client.registry)
        holders = {blob.digest: recall.holders(blob.digest) for blob in artifact.blobs}

        def source(blob: Descriptor) -> Source:
            if blob.digest in data:
                return artifacts.FromMemory(data[blob.digest])
            return FromFile(store.blobs.place(blob.digest), blob.size)

        artifacts.put(
            repository,
            tag,
            artifact,
            MEDIA_TYPE,
            source=source,
            origins={
                digest: registries.repository(f"{self._where.registry}/{names[0]}")
                for digest, names in holders.items()
                if names
            },
            progress=lambda _count: self._bench.stop(),
        )
        self._seen(tag)

    def _seen(self, tag: str) -> None:
        self._bench.store.database.remember(sighting(self._where.name, tag), time.time())
