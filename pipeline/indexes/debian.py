"""Debian and Ubuntu archives: names to locked packages, locked packages to files, libraries to package names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import repeat
from pathlib import Path

from pipeline.dpkg import COMPONENTS, ArchiveSettings
from pipeline.errors import OutOfReach, ResolveError
from pipeline.indexes.debian_apt import AptSettings
from pipeline.indexes.debian_contents import find_libraries
from pipeline.indexes.debian_debs import DOWNLOADS, Debs
from pipeline.indexes.debian_held import kept_back, locked, read, unlisted
from pipeline.indexes.debian_http import Fetcher, NotThere, atomic_file
from pipeline.indexes.debian_mirrors import KeyFolders, addresses, archives
from pipeline.indexes.debian_packages import PackageFile, Universe
from pipeline.indexes.debian_release import Archive, Release, fetch_release
from pipeline.indexes.debian_solver import Solver
from pipeline.indexes.debian_version import Relation
from pipeline.limit import inherited
from pipeline.manifest.model import Timeouts
from pipeline.recipe import Json

KEEP_DAYS = 30
"""Days after which an index that was not read is removed from the cache."""


class DebianArchives:
    """Answers for every Debian and Ubuntu suite, with a cache in `cache`.

    `etc` holds apt's settings, `keyrings` the distributions' keys; `now` gives seconds since 1970.
    """

    def __init__(
        self,
        cache: Path,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        *,
        warn: Callable[[str], None] | None = None,
        etc: Path = Path("/etc"),
        keyrings: Path = Path("/usr/share/keyrings"),
        now: Callable[[], float] = time.time,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._cache = cache
        self._environ = environ
        self._say = say
        self._warn = warn or say
        self._etc = etc
        self._keyrings = keyrings
        self._now = now
        self._timeouts = timeouts or Timeouts()

    @cached_property
    def _apt(self) -> AptSettings:
        return AptSettings.read(self._etc, self._environ)

    @cached_property
    def _fetcher(self) -> Fetcher:
        return Fetcher(self._apt, self._environ, self._timeouts)

    @cached_property
    def _debs(self) -> Debs:
        return Debs(self._cache / "debs", self._fetcher)

    def resolve(
        self,
        settings: ArchiveSettings,
        architecture: str,
        packages: Sequence[str],
        *,
        recommends: bool = False,
        essential: bool = False,
        installed: Mapping[str, str] | None = None,
        upgrade: bool = False,
        held: Sequence[Mapping[str, Json]] = (),
        anew: Iterable[str] = (),
    ) -> list[Json]:
        """The packages to add to `installed` (name to version) for `packages` (`name` or `name=version`), locked:
        [{name, version, architecture, file, size, sha256, archive}], sorted by name.

        With `upgrade` some of them may replace older ones of `installed`. Locked packages in `held` stay where they
        fit, as long as an index lists them or their files can be had; which cannot is said, and so is what keeps one of
        `anew` from its newest version. ResolveError for a name or a set that cannot be had and for an index that cannot
        be trusted; OutOfReach.
        """
        universe = self._universe(settings, architecture)
        universe, gone = self._with_unlisted(universe, held, settings, architecture)
        versions = {row["name"]: row["version"] for row in held}
        wanted = [_exact(_relation(text), universe, versions) for text in packages]
        if essential:
            wanted = [*(Relation(name) for name in (*universe.essential(), "apt")), *wanted]
        solver = Solver(universe, architecture, installed, upgrade=upgrade, held=versions)
        found = {package.name: package for package in solver.solve(wanted, recommends=recommends)}
        for name in sorted({*gone} & {*found}):
            self._warn(f"{name} {gone[name]} has left the archive: {found[name].version} takes its place")
        for name in sorted({*anew} & {*found}):
            free = Solver(universe, architecture, installed, upgrade=upgrade)
            if told := kept_back(found[name], wanted, found, free):
                self._warn(told)
        return [locked(package, held, universe) for package in found.values()]

    def _had(self, row: Mapping[str, Json], uris: Mapping[str, Sequence[str]], settings: ArchiveSettings) -> bool:
        """Whether the file of a locked package that no index lists can be had."""
        if self._debs.has(row):
            return True
        self._say(f"fetching {row['name']} {row['version']}, which the index lists no more")
        try:
            self._debs.fetch(row, uris, settings)
        except (ResolveError, OutOfReach) as error:
            # A mirror that keeps nothing old may as well call it forbidden.
            if isinstance(error, OutOfReach) and error.transient:
                raise
            return False
        return True

    def _with_unlisted(
        self, universe: Universe, held: Sequence[Mapping[str, Json]], settings: ArchiveSettings, architecture: str
    ) -> tuple[Universe, dict[str, str]]:
        """With what the lock has and no index lists any more, as far as the files can be had; and what cannot."""
        rows = unlisted(held, universe, architecture)
        if not rows:
            return universe, {}
        uris = addresses(settings, architecture, self._apt)
        with ThreadPoolExecutor(DOWNLOADS, "deb") as pool:
            had = list(pool.map(inherited(self._had), rows, repeat(uris), repeat(settings)))
        read_ = (read(row, self._debs.path(row)) for row, there in zip(rows, had, strict=True) if there)
        packages = [package for package in read_ if package]
        there = {package.name for package in packages}
        gone = {row["name"]: row["version"] for row in rows if row["name"] not in there}
        return universe.with_more(packages), gone

    def fetch(
        self,
        packages: Sequence[Mapping[str, Json]],
        settings: ArchiveSettings,
        architecture: str,
        arrived: Callable[[Mapping[str, Json], Path], None] = lambda _package, _path: None,
    ) -> list[Path]:
        """The .deb files of locked packages, in their order, each checked against its hash; from the cache where
        possible, the others in parallel. Each that had to be fetched is told of in the thread that did it, while others
        are on their way. ResolveError for one that the mirror no longer has; OutOfReach."""
        self._debs.fetch_all(packages, addresses(settings, architecture, self._apt), settings, self._say, arrived)
        return [self._debs.path(p) for p in packages]

    def contents(
        self,
        distribution: str,
        suite: str,
        architecture: str,
        sonames: Iterable[str],
        settings: ArchiveSettings | None = None,
    ) -> dict[str, str]:
        """The package that holds each shared library, by the archive's Contents index; those in none are left out.

        Reads tens of megabytes the first time: meant for messages about what is missing.
        """
        settings = settings or ArchiveSettings(distribution, suite)
        archive = self._archives(settings, architecture)[0]
        release = fetch_release(archive, self._fetcher, self._now())
        components = settings.components or COMPONENTS[distribution]
        paths = [f"{c}/Contents-{architecture}" for c in components] + [f"Contents-{architecture}"]
        names = [name for path in paths if (name := release.find(path, (".xz", ".gz")))]
        return find_libraries([self._index_file(release, name) for name in names], sonames)

    def _archives(self, settings: ArchiveSettings, architecture: str) -> list[Archive]:
        return archives(settings, architecture, self._apt, KeyFolders(self._keyrings, self._etc))

    def _universe(self, settings: ArchiveSettings, architecture: str) -> Universe:
        found = self._archives(settings, architecture)
        with ThreadPoolExecutor(len(found), "index") as pool:
            releases = list(pool.map(inherited(fetch_release), found, repeat(self._fetcher), repeat(self._now())))
            for number, release in enumerate(releases):
                # Of the distribution's own suites the first one tells for all.
                if number == 0 or release.archive.name not in ("main", "security"):
                    _check_offers(release, architecture, release.archive.components)
            wanted = _once((r, path) for r in releases for path in _package_indexes(r, architecture))
            data = list(pool.map(inherited(self._packages), [r for r, _ in wanted], [path for _, path in wanted]))
        pairs = zip(data, wanted, strict=True)
        files = [PackageFile(text, release.archive.name, release.is_automatic) for text, (release, _) in pairs]
        return Universe(files, f"{settings.distribution} {settings.suite} ({architecture})")

    def _packages(self, release: Release, path: str) -> bytes:
        """A Packages index, kept in a form that opens faster than the archive's."""
        sha256, _ = release.hashes[path]
        kept = self._cache / "indexes" / f"{sha256}.packages"
        if data := _read_kept(kept):
            # Left by a process that was killed when it had kept the other form.
            kept.with_suffix("").unlink(missing_ok=True)
            return data
        from pipeline.compression import Damaged, decompress, suffix_kind

        file = self._index_file(release, path)
        try:
            data = decompress(file.read_bytes(), suffix_kind(path))
        except FileNotFoundError:
            # Another process had it opened at the same time, and has kept it by now.
            return _read_kept(kept) or self._packages(release, path)
        except Damaged as error:
            raise ResolveError(f"cannot read {path} of {release.archive.place}: {error}") from None
        _keep(kept, data)
        file.unlink(missing_ok=True)
        self._forget_old()
        return data

    def _index_file(self, release: Release, path: str) -> Path:
        sha256, size = release.hashes[path]
        target = self._cache / "indexes" / sha256
        if target.is_file() and target.stat().st_size == size:
            os.utime(target)
            return target
        self._say(f"fetching the index {path} of {release.archive.suite}, {size / 1e6:.1f} MB")
        by_hash = f"{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}".lstrip("/")
        for name in (by_hash, path) if release.by_hash else (path,):
            try:
                self._fetcher.download(release.archive.url(name), target, sha256, size)
                return target
            except NotThere:
                if name == path:
                    raise
        raise AssertionError("unreachable")

    def _forget_old(self) -> None:
        oldest = self._now() - KEEP_DAYS * 86400
        for file in (self._cache / "indexes").iterdir():
            try:
                if file.stat().st_mtime < oldest:
                    file.unlink()
            except OSError:
                continue


def _relation(text: str) -> Relation:
    name, equals, version = text.partition("=")
    return Relation(name.strip(), "=" if equals else "", version.strip())


def _exact(relation: Relation, universe: Universe, held: Mapping[str, str]) -> Relation:
    """Of `name=8.*` the best version, as apt reads it; the held one, if it fits."""
    if "*" not in relation.version:
        return relation
    fitting = [p.version for p in universe.versions(relation.name) if fnmatchcase(p.version, relation.version)]
    best = held[relation.name] if held.get(relation.name) in fitting else next(iter(fitting), relation.version)
    return replace(relation, version=best)


def _check_offers(release: Release, architecture: str, components: Sequence[str]) -> None:
    if release.architectures and architecture not in release.architectures:
        there = ", ".join(a for a in release.architectures if a != "all")
        raise ResolveError(f"{release.archive.place} has no packages for {architecture}", remedy=f"it has {there}")
    for component in components:
        if release.components and component not in release.components:
            there = ", ".join(release.components)
            raise ResolveError(f"{release.archive.place} has no component {component!r}", remedy=f"it has {there}")


def _once(indexes: Iterable[tuple[Release, str]]) -> list[tuple[Release, str]]:
    """Each index once: several mirrors of one archive have the same."""
    found: dict[str, tuple[Release, str]] = {}
    for release, path in indexes:
        found.setdefault(release.hashes[path][0], (release, path))
    return list(found.values())


def _package_indexes(release: Release, architecture: str) -> list[str]:
    """The Packages files to read: architecture `all` has its own only where the Release says so."""
    if release.archive.is_flat:
        return [path for path in (release.find("Packages"),) if path]
    separate = "all" in release.architectures and "No-Support-for-Architecture-all" not in release.fields
    names = [architecture, "all"] if separate else [architecture]
    paths = [release.find(f"{c}/binary-{name}/Packages") for c in release.archive.components for name in names]
    return [path for path in paths if path]


def _keep(path: Path, data: bytes) -> None:
    from pipeline.compression import zstd

    with atomic_file(path) as file:
        file.write(zstd(data, level=1))


def _read_kept(path: Path) -> bytes:
    """Empty when it is not there, or damaged."""
    from pipeline.compression import Damaged, unzstd

    try:
        data = unzstd(path.read_bytes())
        os.utime(path)
        return data
    except (OSError, Damaged):
        return b""
