"""What stages work with: the opened project, its store and indexes, and the results of the run so far."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline import limit
from pipeline.errors import Interrupted, StoreError
from pipeline.home import Home
from pipeline.indexes import Indexes
from pipeline.manifest.model import Azure, Manifest
from pipeline.manifest.paths import within
from pipeline.noun import noun
from pipeline.plan.model import Plan, Step
from pipeline.reference import below
from pipeline.stages.alone import Alone
from pipeline.store import Store
from pipeline.store.files import ProjectFiles
from pipeline.store.scratch import Scratch

if TYPE_CHECKING:
    from pipeline.assemble.bytecode_pool import Compilers
    from pipeline.assemble.frame_cache import FrameCache
    from pipeline.engine.find import Choice
    from pipeline.engine.model import Engine
    from pipeline.indexes import Dockerfiles, Images
    from pipeline.oci.descriptor import Layer
    from pipeline.registry import Registries
    from pipeline.registry.credentials import Entra
    from pipeline.registry.origins import Origins
    from pipeline.stages.sightings import Sightings
    from pipeline.store.uses import Claim


@dataclass
class Bench:
    """A project opened for work. `say(step id, text)` shows progress, `warn` what the user should know,
    `follow` what happens elsewhere for long,
    `retried(step id, text, seconds, known)` that something within a step is tried again, `known` when that was said
    before; `halt` is set when the user wants to stop. `looks_only` is for what is shown and not performed: a target
    that cannot be asked does not end it.
    """

    manifest: Manifest
    home: Home
    environ: Mapping[str, str]
    say: Callable[[str, str], None] = lambda _step, _text: None
    warn: Callable[[str], None] = lambda _text: None
    follow: Callable[[str], None] = lambda _text: None
    retried: Callable[[str, str, float, bool], None] = lambda _step, _text, _seconds, _known: None
    halt: threading.Event = field(default_factory=threading.Event)
    looks_only: bool = False
    _waited_for: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)

    @cached_property
    def store(self) -> Store:
        return self.adopt(Store(self.home.store))

    def adopt(self, store: Store) -> Store:
        """Works in this store, which fetches from elsewhere what it lacks."""
        store.blobs.fetch = lambda digest: self.origins.fetch(digest)
        store.describe = self._describe
        self.__dict__["store"] = store
        return store

    def _describe(self, layer: Layer) -> None:
        """Finds out what a layer holds: from the shared cache, else from its blob."""
        if not self.cache.contents(layer):
            from pipeline.assemble.scan import describe

            describe(self.store, layer)

    @cached_property
    def claim(self) -> Claim:
        """What keeps the store from being cleared under a plan, and its run."""
        return self.store.uses.claim()

    @cached_property
    def cache(self) -> Alone:
        """What is shared with other machines; with none where the manifest names no cache."""
        if self.manifest.cache is None:
            return Alone(self.store.database)
        from pipeline.stages.cache import SharedCache

        return SharedCache(self, self.manifest.cache)

    @cached_property
    def files(self) -> ProjectFiles:
        base = self.manifest.path.parent
        return ProjectFiles(base, within(self.manifest.root, base), self.store.database, time.time_ns)

    @cached_property
    def registries(self) -> Registries:
        """The registries that the manifest names, and all others."""
        from pipeline.registry import Registries

        given = self.manifest.registries.values()
        ca_files = {below(entry.address, "any").registry: self.files.path(entry.ca) for entry in given if entry.ca}
        # The client knows by the address that plain HTTP is allowed.
        plain = [replace(entry, address=f"http://{entry.address}") if entry.insecure else entry for entry in given]
        # Requests are tried again each by itself, and the steps that make them are not.
        retry = self.manifest.retry.of("push")
        return Registries(
            self.environ,
            plain,
            ca_files=ca_files,
            retry=retry,
            sleep=self.pause,
            waiting=self.again,
            timeouts=self.manifest.timeouts,
            entra=self._identity,
        )

    def _identity(self, azure: Azure, host: str) -> Entra:
        from pipeline.azure.identity import identity_of

        return identity_of(azure, host, self.environ)

    @cached_property
    def origins(self) -> Origins:
        """Where layers can be had that are not in the store."""
        from pipeline.registry.origins import Origins

        return Origins(self.store, lambda where: self.registries.repository(where), lambda text: self.say("", text))

    @cached_property
    def sightings(self) -> Sightings:
        """What the tags of the manifest's images are in their registries now."""
        from pipeline.stages.sightings import Sightings

        return Sightings(lambda where: self.registries.repository(where))

    @cached_property
    def frames(self) -> FrameCache:
        """Packages packed before, for any store of this user."""
        from pipeline.assemble.frame_cache import FrameCache

        return FrameCache(self.home.cache / "frames")

    @cached_property
    def compilers(self) -> Compilers:
        from pipeline.assemble.bytecode_pool import Compilers

        return Compilers()

    @cached_property
    def indexes(self) -> Indexes:
        return Indexes(
            self.home,
            self.environ,
            self.files,
            lambda text: self.say("", text),
            self._dockerfiles,
            self._images,
            lambda text: self.warn(text),
            self.manifest.timeouts,
        )

    def _images(self) -> Images:
        from pipeline.stages.foreign import ForeignImages

        return ForeignImages(self)

    def _dockerfiles(self) -> Dockerfiles:
        if self.manifest.build.engine == "acr":
            return self._remote
        from pipeline.stages.dockerfiles import Dockerfiles

        return Dockerfiles(self)

    @cached_property
    def _remote(self) -> Dockerfiles:
        from pipeline.stages.remote import RemoteDockerfiles

        return RemoteDockerfiles(self)

    @cached_property
    def engine(self) -> Engine:
        """What executes commands. Raises OutOfReach when there is none, NoEngine when none is wanted."""
        from pipeline.engine.find import connect, find, why_none

        choice = cast("Choice", self.manifest.build.engine)
        found = find(self.environ, choice)
        if found is None:
            raise why_none(self.environ, choice)
        return connect(found)

    def sweep(self) -> None:
        """Removes what killed runs left half made."""
        self.store.blobs.scratch.sweep()
        self.store.uses.sweep()
        # The cache itself is not looked at: a run with nothing to do needs nothing of it.
        Scratch(self.home.cache / "frames" / "scratch").sweep()

    def stop(self) -> None:
        """Raises Interrupted once the user wants to stop, TimedOut once the step's time is over: called now and then by
        whatever takes long.
        """
        if self.halt.is_set():
            raise Interrupted("interrupted")
        limit.check()

    def again(self, text: str, seconds: float) -> None:
        """Tells that something is tried again after a pause, for the step of this thread if there is one: seen by all
        the first time, or fifty services that wait for one registry would fill the screen.
        """
        known = text in self._waited_for
        self._waited_for.add(text)
        if step := limit.current():
            self.retried(step, text, seconds, known)
        else:
            (self.warn if not known else lambda said: self.say("", said))(f"{text}; trying again in {seconds:.1f} s")

    def warn_once(self, text: str) -> None:
        """Tells what the user should know, however often it is found out."""
        if text not in self._told:
            self._told.add(text)
            self.warn(text)

    def pause(self, seconds: float) -> None:
        """Lets time pass; raises Interrupted as soon as the user wants to stop, TimedOut when the step's time is up."""
        if self.halt.wait(limit.left(seconds)):
            raise Interrupted("interrupted")
        limit.check()

    def record(self, step: Step) -> dict[str, Any]:
        """What a step made, which must have ended well before."""
        record = self.store.database.record(step.key)
        if record is None:
            raise StoreError(f"the result of '{step.id}' is gone from the store", remedy="run again")
        return record


@noun
class Result:
    """What a stage made: the record to keep under the step's key, new bytes in the store, and words for the report."""

    record: Mapping[str, Any]
    size: int = 0
    title: str = ""


class Stage(Protocol):
    """The code that performs one kind of step; idempotent, retryable."""

    def done(self, step: Step, plan: Plan | None, bench: Bench) -> bool: ...

    def run(self, step: Step, plan: Plan, bench: Bench) -> Result: ...


def machine_platform() -> str:
    """This machine's platform as OCI names it."""
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
    machine = os.uname().machine
    return f"linux/{names.get(machine, machine)}"
