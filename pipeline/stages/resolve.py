"""Stage: turns the names of a manifest into locked inputs, entry by entry, from the lock where it still answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.assemble import PACKER
from pipeline.errors import AssembleError, Diagnostic, Location, ManifestError, PipelineError, ResolveError, UsageError
from pipeline.facts import Facts, Platform
from pipeline.kinds import BuildKind, Held, build_kind
from pipeline.limit import within
from pipeline.lock.asked import otherwise, readable
from pipeline.lock.model import Lock, LockEntry, entry_id, head, head_of, request_hash
from pipeline.lock.upgrade import Upgrade
from pipeline.manifest.model import Entry, Image
from pipeline.manifest.stack import BESIDE, SERVER
from pipeline.oci.budget import check_number, divided, foreseen
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.stages.bench import Bench, machine_platform
from pipeline.stages.stale import Stale

Section = Literal["bases", "layers"]


@dataclass
class Resolution:
    """Every image on each of its platforms, and the lock that says the same."""

    images: list[ResolvedImage] = field(default_factory=list)
    entries: dict[str, LockEntry] = field(default_factory=dict)
    files: dict[str, list[Any]] = field(default_factory=dict)
    asked: int = 0

    @property
    def lock(self) -> Lock:
        return Lock(self.entries, self.files, PACKER)


def resolve(
    bench: Bench,
    lock: Lock,
    *,
    frozen: bool = False,
    upgrade: Upgrade | None = None,
    only: Iterable[str] | None = None,
) -> Resolution:
    """Resolves the images (all, or those named in `only`).

    `frozen` forbids asking any index: StaleLock with all that the lock does not answer, the project's files included.
    `upgrade` is what to ask anew. All errors are shown at once where one does not follow from another.
    """
    return _Resolver(bench, lock, frozen, upgrade or Upgrade()).images(only)


class _NotKnown(Exception):
    """What a frozen lock does not answer, and cannot stand in for: what lies on top of it is not known either."""


class _Resolver:
    def __init__(self, bench: Bench, lock: Lock, frozen: bool, upgrade: Upgrade) -> None:
        self._bench = bench
        self._lock = lock
        self._upgrade = upgrade
        self._stale = Stale(lock, _as_written(bench)) if frozen else None
        self._known: dict[tuple[str, str, str], ResolvedEntry] = {}
        self._requests: dict[tuple[str, str], Any] = {}
        self._noted: set[tuple[str, Platform]] = set()
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
                except _NotKnown:
                    continue
                except (ResolveError, AssembleError, UsageError) as error:
                    problems.setdefault(str(error), error)
        self._raise(list(problems.values()))
        return self._result

    def _raise(self, problems: list[PipelineError]) -> None:
        if self._stale is not None:
            self._stale.packer(PACKER)
            for name, rows in self._result.files.items():
                self._stale.files(name, self._place(name), rows)
            if self._stale:
                # What else is wrong may come from what stands in for answers that are not there.
                raise self._stale.error()
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise ManifestError([_diagnostic(error) for error in problems])

    def _place(self, name: str) -> Location:
        section, _, entry = name.partition(".")
        manifest = self._bench.manifest
        return (manifest.bases if section == "bases" else manifest.layers)[entry].location

    def _image(self, image: Image, platform: Platform) -> ResolvedImage:
        images = self._bench.manifest.images
        below = self._image(images[image.base], platform) if image.base in images else None
        facts = below.stack[-1].facts if below else Facts(platform)
        stack = list(below.stack) if below else []
        entries = self._own(image)
        for number, (section, entry) in enumerate(entries):
            if isinstance(entry.spec, Mapping) and BESIDE in entry.spec:
                have = _distributions(stack)
                if SERVER in have:
                    continue
                entry = replace(entry, spec={"packages": entry.spec["packages"], "installed": have})
            try:
                stack.append(self._entry(section, entry, facts))
            except _NotKnown:
                self._missing(entries[number + 1 :], platform)
                raise
            facts = stack[-1].facts
        made, borrowed = foreseen((item.entry.name, recipe) for item in stack for recipe in item.recipes)
        try:
            check_number(image.name, made, borrowed, self._bench.manifest.build.layers)
        except AssembleError as error:
            error.place = error.place or image.location
            raise
        return ResolvedImage(image, platform, tuple(stack), below)

    def _missing(self, above: list[tuple[Section, Entry]], platform: Platform) -> None:
        """Looks at what stands on something that is not known, as far as that goes."""
        for section, entry in above:
            kind, name = build_kind(section, entry.kind), head(section, entry.name)
            if self._stale is not None and kind.LOCKED:
                self._stale.missing(name, str(platform), entry.location)
            elif hasattr(kind, "contents"):
                # The project's files are the same on whatever they stand.
                with suppress(PipelineError):
                    self._entry(section, entry, Facts(platform))

    def _own(self, image: Image) -> list[tuple[Section, Entry]]:
        """Layers, lowest first, on top of the base where that is no image of the manifest."""
        manifest = self._bench.manifest
        below: list[tuple[Section, Entry]] = []
        if image.base not in manifest.images:
            below.append(("bases", manifest.bases[image.base]))
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
        # What an added layer asks for depends on what is below it there.
        asked = (section, f"{entry.name} {parent.platform}" if "+" in entry.name else entry.name)
        if asked not in self._requests:
            self._requests[asked] = kind.request(entry.spec, self._bench.files)
        request = self._requests[asked]
        id_ = entry_id(section, entry.name, str(parent.platform), kind.needs(entry.spec, parent))
        if kind.LOCKED and not self._upgrade.whole(id_):
            id_ = self._lock.answering(id_, entry.kind, request_hash(request))

        def ask(held: Held) -> Any:
            return kind.resolve(entry.spec, request, parent, self._bench.indexes, held)

        locked = self._locked(id_, entry, request, ask) if kind.LOCKED else ask(Held())
        self._contents(kind, head(section, entry.name), entry, locked, parent)
        if complete := getattr(kind, "complete", None):
            locked = complete(entry.spec, request, locked, parent, self._bench.indexes)
        try:
            facts = kind.facts(entry.spec, locked, parent)
            recipes = tuple(divided(kind.recipes(entry.spec, locked, parent), self._bench.manifest.build.layers))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if (known := self._lock.entries.get(id_)) is None or known.locked is not locked:
                raise
            remedy = f"take the one that Git has, or run 'pipeline lock --upgrade {entry.name}'"
            raise ResolveError(f"the lock's entry of {entry.name} is damaged", remedy=remedy) from error
        return ResolvedEntry(section, entry, id_, locked, parent, facts, recipes)

    def _contents(self, kind: BuildKind, name: str, entry: Entry, locked: Any, parent: Facts) -> None:
        """Notes the project's files that an entry is made of, once for each platform."""
        contents: Callable[[Any, Any, Facts], Iterable[Any]] | None = getattr(kind, "contents", None)
        if contents is not None and (name, parent.platform) not in self._noted:
            self._noted.add((name, parent.platform))
            rows = self._result.files.setdefault(name, [])
            rows += [row for row in contents(entry.spec, locked, parent) if row not in rows]

    def _locked(self, id_: str, entry: Entry, request: Any, ask: Callable[[Held], Any]) -> Any:
        """The lock's answer while what was asked is the same; else a new one, as near to what it held as may be."""
        wanted = request_hash(request)
        known = self._lock.entries.get(id_)
        if known and known.answers(entry.kind, wanted) and not self._upgrade.whole(id_) and not self._upgrade.of(id_):
            self._result.entries[id_] = LockEntry(entry.kind, wanted, known.locked, readable(request))
            return known.locked
        before = self._lock.before(id_, entry.kind, wanted)
        if self._stale is not None:
            self._stale.entry(id_, entry.location, before, entry.kind, request)
            if known is None or known.kind != entry.kind:
                raise _NotKnown
            return known.locked
        held = Held()
        if before and before.kind == entry.kind and not self._upgrade.whole(id_):
            held = Held(before.locked, self._upgrade.of(id_), otherwise(before.asked, readable(request)))
        locked = self._asked(id_, ask, held)
        self._result.entries[id_] = LockEntry(entry.kind, wanted, locked, readable(request))
        return locked

    def _asked(self, id_: str, ask: Callable[[Held], Any], held: Held) -> Any:
        from pipeline.retry import retrying

        bench = self._bench
        started = time.monotonic()
        bench.say("", f"resolving {head_of(id_)}")
        locked = within(
            f"lock {head_of(id_)}",
            bench.manifest.timeouts.of("lock"),
            lambda: retrying(
                bench.manifest.retry.of("lock"),
                lambda: ask(held),
                lambda _attempt, wait, error: bench.again(str(error), wait),
                bench.pause,
            ),
        )
        self._bench.say("", f"resolved {head_of(id_)} in {time.monotonic() - started:.1f} s")
        self._result.asked += 1
        return locked


def _distributions(stack: Iterable[ResolvedEntry]) -> dict[str, str]:
    """The Python distributions that layers bring, as far as their kinds know them: name to version."""
    found: dict[str, str] = {}
    for item in stack:
        told = getattr(build_kind(item.section, item.entry.kind), "distributions", None)
        found |= told(item.locked) if told else {}
    return dict(sorted(found.items()))


def _as_written(bench: Bench) -> Path:
    """The manifest's path as the user gave it."""
    written = next((image.location.file for image in bench.manifest.images.values()), "")
    return Path(written or bench.manifest.path)


def _diagnostic(error: PipelineError) -> Diagnostic:
    return Diagnostic(error.place or Location(""), error.message, error.remedy)


__all__ = ["Resolution", "resolve"]
