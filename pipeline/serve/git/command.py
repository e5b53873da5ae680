"""Runs git for one repository, and turns its failures into errors; the only file that starts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import limit, programs
from pipeline.errors import OutOfReach, PipelineError, TimedOut, UsageError
from pipeline.manifest.secrets import mask
from pipeline.noun import noun
from pipeline.serve.git import errors
from pipeline.serve.git.access import Surroundings

ASKED = 60.0
"""Seconds for a question to the other side, such as for its branches."""
FETCHED = 3600.0
"""Seconds for all that a fetch or a push moves; one that stalls is given up much earlier."""


@noun
class Said:
    """What git printed, and its exit code."""

    out: bytes
    code: int
    words: str = ""

    @property
    def text(self) -> str:
        return self.out.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.split("\n") if line]


class Command:
    """git in one folder (a mirror). `place` is the other side's address as it may be shown; `keep` are open files that
    live as long as what git starts.
    """

    def __init__(self, folder: Path, place: str, surroundings: Surroundings, keep: Sequence[int] = ()) -> None:
        self.folder, self.place = folder, place
        self.environ, self._secrets, self._keep = surroundings.environ, surroundings.secrets, keep

    def local(
        self,
        *words: str,
        worktree: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes = b"",
        ok: Sequence[int] = (0,),
    ) -> Said:
        """A command that has to do with this machine alone, in the mirror or in one of its worktrees. Raises Damaged,
        UsageError for files of Git LFS that cannot be had, StoreError when the disk is full; not for the exit codes in
        `ok`.
        """
        said = self._run(words, worktree, env or {}, input)
        if said.code not in ok:
            raise errors.local(said.words)
        return said

    def remote(
        self,
        *words: str,
        seconds: float = FETCHED,
        ok: Sequence[int] = (0,),
        env: Mapping[str, str] | None = None,
        worktree: Path | None = None,
        place: str = "",
    ) -> Said:
        """A command that talks to the other side, or to another (`place`). Raises OutOfReach, Gone, Refused, StoreError
        for what is neither.
        """
        place = place or self.place
        try:
            said = limit.within("git", seconds, lambda: self._run(words, worktree, env or {}, b""))
        except TimedOut:
            message = f"{place} does not answer within {seconds:g} s"
            raise OutOfReach(message, remedy="it is tried again", transient=True) from None
        if said.code not in ok:
            raise errors.remote(said.words, place)
        return said

    def _run(self, words: Sequence[str], worktree: Path | None, env: Mapping[str, str], given: bytes) -> Said:
        # Always told where: git would go up from a folder that it does not know, and find another repository.
        where = ["--git-dir", str(self.folder)]
        if worktree:
            where = ["--git-dir", str(own_of(self.folder, worktree)), "--work-tree", str(worktree)]
        folder = worktree or self.folder
        if not folder.is_dir():
            return Said(b"", 128, f"fatal: there is no folder {folder}")
        environ = {**self.environ, **env}
        try:
            ended = programs.run_bytes(
                ["git", *where, *words], input=given, cwd=str(folder), env=environ, keep=self._keep
            )
        except FileNotFoundError:
            raise UsageError("the program git is not there", remedy="install git, 2.31 or newer") from None
        except OSError as error:
            raise PipelineError(f"git cannot be started: {error.strerror}", transient=True) from None
        told = mask(ended.stderr.decode(errors="replace"), self._secrets)
        return Said(ended.stdout, ended.returncode, told)


def own_of(mirror: Path, worktree: Path) -> Path:
    """What git keeps of a worktree (gitrepository-layout(5), "worktrees"); its name is the folder's."""
    return mirror / "worktrees" / worktree.name


def unquoted(name: str) -> str:
    """A path as git prints it (git-config(1), core.quotePath): in quotes with escapes where it has odd characters.
    Bytes that are not UTF-8 stay escaped, for no database keeps them.
    """
    if not name.startswith('"'):
        return name
    raw = name[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    return raw.encode("latin-1").decode("utf-8", "backslashreplace")


__all__ = ["ASKED", "FETCHED", "Command", "Said", "own_of", "unquoted"]
