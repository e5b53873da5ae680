"""Which manifests a range of commits concerns: those that it changed, and those that use something that it changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.errors import UsageError
from pipeline.noun import noun
from pipeline.serve.model import Entry, Tracked
from pipeline.serve.ports import Git
from pipeline.serve.settings import Repository
from pipeline.serve.uses import Snapshot, entry, follow, is_manifest


@noun
class Survey:
    """`read` are the manifests that are concerned, as the newer commit has them, by their paths; `gone` those that it
    has no more.
    """

    read: tuple[Entry, ...]
    gone: tuple[Entry, ...]


def survey(git: Git, repository: Repository, old: str, new: str, known: Iterable[Entry]) -> Survey:
    """What leads from one commit to another; from nothing, where `old` is empty. `known` are the repository's manifests
    so far. Commits that concern none cost next to nothing.
    """
    tracked = {one.manifest.path: one for one in known}
    changed = git.changed(old, new)
    if not changed:
        return Survey((), ())
    reached, exactly = reach(changed), set(changed)
    files = _files(git, repository, new)
    known_too = {path for path, one in tracked.items() if concerned(one, reached, exactly)}
    wanted = [path for path in files if path in reached or path in known_too]
    read = _read(git, repository, new, {path: files[path] for path in wanted}, tracked) if wanted else ()
    gone = tuple(one for path, one in sorted(tracked.items()) if path not in files and not one.gone)
    return Survey(tuple(read), gone)


def reach(changed: Iterable[str]) -> set[str]:
    """The paths with every folder above them: what uses one of these is concerned."""
    found = {"."}
    for path in changed:
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def concerned(one: Entry, reached: set[str], changed: Collection[str] = ()) -> bool:
    """`changed` are the paths themselves: one may be a submodule that has what is used."""
    if one.manifest.path in reached or not reached.isdisjoint(one.uses):
        return True
    return any(above in changed for use in one.uses for above in _above(use))


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _files(git: Git, repository: Repository, commit: str) -> dict[str, str]:
    """Path → Git hash of YAML files below the watched folders, one of which may be a link."""
    found = git.files(commit, repository.folders)
    if any(folder in found for folder in repository.folders):
        links = git.links(commit)
        found = git.files(commit, [follow(folder, links)[0] for folder in repository.folders])
    return {path: hash_ for path, hash_ in sorted(found.items()) if _may_be(path)}


def _may_be(path: str) -> bool:
    hidden = any(part.startswith(".") for part in PurePosixPath(path).parts)
    return path.endswith((".yaml", ".yml")) and not hidden


def _read(
    git: Git, repository: Repository, commit: str, files: Mapping[str, str], tracked: Mapping[str, Entry]
) -> list[Entry]:
    links, texts = git.links(commit), git.texts(commit, files.values())
    snapshot = Snapshot(links, _reader(git, commit, {path: texts[hash_] for path, hash_ in files.items()}))
    found = []
    for path, blob in files.items():
        text = snapshot.read(follow(path, links)[0])
        # What was a manifest stays one, however broken: it is not to be taken for deleted.
        if path in tracked or (text is not None and is_manifest(path, text)):
            one = entry(Tracked(repository.name, path), blob, commit, snapshot, repository.environment)
            found.append(_as_known(one, tracked.get(path)))
    return found


def _as_known(one: Entry, before: Entry | None) -> Entry:
    """One that cannot be read is still what it was: what it used may be what has to change."""
    if not one.error or before is None:
        return one
    return replace(one, name=before.name, uses=tuple(sorted({*one.uses, *before.uses})))


def _reader(git: Git, commit: str, texts: Mapping[str, str]) -> Callable[[str], str | None]:
    known: dict[str, str | None] = dict(texts)

    def read(path: str) -> str | None:
        if path not in known:
            try:
                known[path] = git.text(commit, path)
            except UsageError:
                known[path] = None
        return known[path]

    return read


__all__ = ["Survey", "concerned", "reach", "survey"]
