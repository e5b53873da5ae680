"""What commits say: who made them, what differs between them, which files they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.errors import UsageError
from pipeline.serve.git.command import Command, unquoted
from pipeline.serve.git.errors import Damaged
from pipeline.serve.ports import Commit

_LINK = "120000"
_TITLE = 120


def commit(git: Command, id_: str) -> Commit:
    said = git.local("log", "-1", "--no-show-signature", "--format=%H%x00%s%x00%an%x00%at", id_)
    hash_, title, author, at = said.text.rstrip("\n").split("\0")
    return Commit(hash_, _plain(title), _plain(author), float(at or 0))


def _plain(text: str) -> str:
    """A line of somebody's words as it may be shown anywhere."""
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…"


def count(git: Command, old: str, new: str) -> int:
    """How many commits led from one to the other, along the branch itself."""
    return int(git.local("rev-list", "--count", "--first-parent", f"{old}..{new}" if old else new).text)


def is_ancestor(git: Command, old: str, new: str) -> bool:
    return git.local("merge-base", "--is-ancestor", old, new, ok=(0, 1)).code == 0


def merge_base(git: Command, one: str, other: str) -> str:
    """The newest commit that led to both; empty for none."""
    return git.local("merge-base", one, other, ok=(0, 1)).text.strip()


def changed(git: Command, old: str, new: str) -> list[str]:
    if not old:
        return sorted(_listed(git, new, ()))
    said = git.local("diff-tree", "-r", "--name-only", "--no-renames", "--no-commit-id", old, new)
    return [unquoted(line) for line in said.lines]


def files(git: Command, commit: str, folders: Sequence[str]) -> dict[str, str]:
    """Path → Git hash of the files below folders (`.`: all)."""
    return {path: hash_ for path, (_, hash_) in _listed(git, commit, folders).items()}


def links(git: Command, commit: str) -> dict[str, str]:
    """Path → target of every symbolic link."""
    found = {path: hash_ for path, (mode, hash_) in _listed(git, commit, ()).items() if mode == _LINK}
    contents = _contents(git, found.values())
    return {path: contents[hash_].decode("utf-8", "backslashreplace") for path, hash_ in found.items()}


def _listed(git: Command, commit: str, folders: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Path → (mode, hash) of files and links; submodules are passed by."""
    below = [f":(literal){folder}" if folder != "." else "." for folder in folders]
    said = git.local("ls-tree", "-r", "--full-tree", commit, "--", *below)
    found = {}
    for line in said.lines:
        facts, _, name = line.partition("\t")
        mode, kind, hash_ = facts.split()
        if kind == "blob":
            found[unquoted(name)] = (mode, hash_)
    return found


def texts(git: Command, hashes: Iterable[str]) -> dict[str, str]:
    """Git hash → the text of a file, with a replacement for what is not UTF-8."""
    return {hash_: data.decode(errors="replace") for hash_, data in _contents(git, hashes).items()}


def text(git: Command, commit: str, path: str) -> str:
    """A file's text. UsageError where the commit has no such file."""
    found = _listed(git, commit, (path,)).get(path)
    if found is None:
        raise UsageError(f"commit {commit[:7]} has no file {path}", remedy="see what the commit holds")
    return texts(git, [found[1]])[found[1]]


def _contents(git: Command, hashes: Iterable[str]) -> dict[str, bytes]:
    """git-cat-file(1), BATCH OUTPUT."""
    wanted = sorted(set(hashes))
    if not wanted:
        return {}
    out = git.local("cat-file", "--batch", input="".join(f"{one}\n" for one in wanted).encode()).out
    found, at = {}, 0
    for _ in wanted:
        end = out.index(b"\n", at)
        words = out[at:end].split()
        if len(words) != 3:
            raise Damaged(f"git has lost {out[at:end].decode(errors='replace')}", remedy="it is fetched again")
        size = int(words[2])
        found[words[0].decode()] = out[end + 1 : end + 1 + size]
        at = end + size + 2
    return found


__all__ = ["changed", "commit", "count", "files", "is_ancestor", "links", "merge_base", "text", "texts"]
