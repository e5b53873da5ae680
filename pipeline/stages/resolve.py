"""Stage: turns the names of a manifest into locked inputs, entry by entry, from the lock where it still answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.errors import AssembleError, Diagnostic, Location, ManifestError, PipelineError, ResolveError, UsageError
from pipeline.facts import Facts, Platform
from pipeline.kinds import Held, build_kind
from pipeline.lock.model import Lock, LockEntry, entry_id, request_hash
from pipeline.manifest.model import Entry, Image
from pipeline.oci.budget import divided
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.stages.bench import Bench, machine_platform

Section = Literal["bases", "layers"]


@dataclass
class Resolution:
    """Every image on each of its platforms, and the lock that says the same."""

    images: list[ResolvedImage] = field(default_factory=list)
    entries: dict[str, LockEntry] = field(default_factory=dict)
    asked: int = 0

    @property
    def lock(self) -> Lock:
        return Lock(self.entries)


def resolve(
    bench: Bench,
    lock: Lock,
    *,
    frozen: bool = False,
    update: Callable[[str], bool] = lambda _id: False,
    only: Iterable[str] | None = None,
) -> Resolution:
    """Resolves the images (all, or those named in `only`).

    `frozen` forbids asking any index: an entry that the lock does not answer is an error. `update(lock id)` asks anew.
    All errors are shown at once where one does not follow from another.
    """
    return _Resolver(bench, lock, frozen, update).images(only)


class _Resolver:
    def __init__(self, bench: Bench, lock: Lock, frozen: bool, update: Callable[[str], bool]) -> None:
        self._bench = bench
        self._lock = lock
        self._frozen = frozen
        self._update = update
        self._known: dict[tuple[str, str, str], ResolvedEntry] = {}
        self._requests: dict[tuple[str, str], Any] = {}
        self._result = Resolution()

    def images(self, only: Iterable[str] | None) -> Resolution:
        wanted = None if only is None else set(only)
        problems: dict[str, PipelineError] = {}
        for image in self._bench.manifest.images.values():
            if wanted is not None and image.name not in wanted:
                continue
            for platform in image.platforms or (machine_platform(),):
                self._bench.stop()
                try:
                    self._result.images.append(self._image(image, Platform.parse(platform)))
                except (ResolveError, AssembleError, UsageError) as error:
                    problems.setdefault(str(error), error)
        if len(problems) == 1:
            raise next(iter(problems.values()))
        if problems:
            raise ManifestError([_diagnostic(error) for error in problems.values()])
        return self._result

    def _image(self, image: Image, platform: Platform) -> ResolvedImage:
        facts = Facts(platform)
        stack: list[ResolvedEntry] = []
        for section, entry in self._stack(image):
            stack.append(self._entry(section, entry, facts))
            facts = stack[-1].facts
        return ResolvedImage(image, platform, tuple(stack))

    def _stack(self, image: Image) -> list[tuple[Section, Entry]]:
        """Base and layers, lowest first; an image whose base is another image stands on that one's whole stack."""
        manifest = self._bench.manifest
        below: list[tuple[Section, Entry]]
        if image.base in manifest.images:
            below = self._stack(manifest.images[image.base])
        else:
            below = [("bases", manifest.bases[image.base])]
        return below + [("layers", manifest.layers[name]) for name in image.layers]

    def _entry(self, section: Section, entry: Entry, parent: Facts) -> ResolvedEntry:
        memo = (section, entry.name, repr(parent))
        if memo not in self._known:
            try:
                self._known[memo] = self._resolved(section, entry, parent)
            except PipelineError as error:
                error.place = error.place or entry.location
                raise
        return self._known[memo]

    def _resolved(self, section: Section, entry: Entry, parent: Facts) -> ResolvedEntry:
        kind = build_kind(section, entry.kind)
        asked = (section, entry.name)
        if asked not in self._requests:
            self._requests[asked] = kind.request(entry.spec, self._bench.files)
        request = self._requests[asked]
        id_ = entry_id(section, entry.name, str(parent.platform), kind.needs(entry.spec, parent))

        def ask(held: Held) -> Any:
            return kind.resolve(entry.spec, request, parent, self._bench.indexes, held)

        locked = self._locked(id_, entry, request, ask) if kind.LOCKED else ask(Held())
        if complete := getattr(kind, "complete", None):
            locked = complete(entry.spec, request, locked, parent, self._bench.indexes)
        try:
            facts = kind.facts(entry.spec, locked, parent)
            recipes = tuple(divided(kind.recipes(entry.spec, locked, parent), self._bench.manifest.build.layers))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if (known := self._lock.entries.get(id_)) is None or known.locked is not locked:
                raise
            remedy = f"take the one that Git has, or run 'pipeline lock --update {entry.name}'"
            raise ResolveError(f"the lock's entry of {entry.name} is damaged", remedy=remedy) from error
        return ResolvedEntry(section, entry, id_, locked, parent, facts, recipes)

    def _locked(self, id_: str, entry: Entry, request: Any, ask: Callable[[Held], Any]) -> Any:
        """The lock's answer while what was asked is the same; else a new one."""
        wanted = request_hash(request)
        known = self._lock.entries.get(id_)
        if known and known.answers(entry.kind, wanted) and not self._update(id_):
            self._result.entries[id_] = known
            return known.locked
        if self._frozen:
            state = "has changed since it was locked" if known else "is not in the lock"
            raise ResolveError(
                f"{entry.name} {state}", remedy="run 'pipeline lock' and commit the lock", place=entry.location
            )
        from pipeline.retry import retrying

        started = time.monotonic()
        self._bench.say("", f"resolving {id_.split()[0]}")
        held = Held() if self._update(id_) else self._held(id_, entry)

        def again(attempt: int, wait: float, error: Exception) -> None:
            self._bench.say("", f"{id_}: {error}; trying again in {wait:.1f} s ({attempt})")

        locked = retrying(self._bench.manifest.retry, lambda: ask(held), again)
        self._bench.say("", f"resolved {id_.split()[0]} in {time.monotonic() - started:.1f} s")
        self._result.entries[id_] = LockEntry(entry.kind, wanted, locked)
        self._result.asked += 1
        return locked

    def _held(self, id_: str, entry: Entry) -> Held:
        before = self._lock.before(id_)
        return Held(before.locked) if before and before.kind == entry.kind else Held()


def _diagnostic(error: PipelineError) -> Diagnostic:
    return Diagnostic(error.place or Location(""), error.message, error.remedy)


__all__ = ["Resolution", "resolve"]
