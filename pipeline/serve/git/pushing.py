"""Commits files of a checkout and pushes the commit as a branch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.serve.git.command import Command
from pipeline.serve.git.errors import Moved, Refused, last

_WHO = {
    "GIT_AUTHOR_NAME": "pipeline",
    "GIT_AUTHOR_EMAIL": "pipeline@localhost",
    "GIT_COMMITTER_NAME": "pipeline",
    "GIT_COMMITTER_EMAIL": "pipeline@localhost",
}


def commit(git: Command, folder: Path, paths: Sequence[str], message: str) -> tuple[str, bool]:
    """A commit of these files on top of what is checked out, which stays as it is, and True; that one itself, and
    False, where the files do not differ. Through an index of its own: whatever else lies in the folder stays out.
    """
    index = folder.parent / f"{folder.name}.index"
    index.unlink(missing_ok=True)
    env = {"GIT_INDEX_FILE": str(index)}
    try:
        head = git.local("rev-parse", "HEAD", worktree=folder).text.strip()
        git.local("read-tree", head, worktree=folder, env=env)
        git.local("add", "--force", "--all", "--", *(f":(literal){path}" for path in paths), worktree=folder, env=env)
        tree = git.local("write-tree", worktree=folder, env=env).text.strip()
        if tree == git.local("rev-parse", f"{head}^{{tree}}").text.strip():
            return head, False
        words = ("commit-tree", "-p", head, "-F", "-", tree)
        return git.local(*words, env=_WHO, input=message.encode()).text.strip(), True
    finally:
        index.unlink(missing_ok=True)


def push(git: Command, url: str, commit: str, branch: str, *, force: bool) -> None:
    """Raises Moved where the branch has gone on meanwhile, Refused where the other side does not take it."""
    target = f"{'+' if force else ''}{commit}:refs/heads/{branch}"
    said = git.remote("push", "--porcelain", "--no-verify", "--", url, target, ok=(0, 1))
    if said.code:
        raise _refused(branch, said.text, said.words)


def remove(git: Command, url: str, branch: str, commit: str) -> bool:
    """Removes a branch that is at this commit; False where it is elsewhere by now, or gone (git-push(1),
    --force-with-lease). Raises Refused where the other side does not let it go.
    """
    lease = f"--force-with-lease=refs/heads/{branch}:{commit}"
    words = ["push", "--porcelain", "--no-verify", lease, "--", url, f":refs/heads/{branch}"]
    said = git.remote(*words, ok=(0, 1))
    if said.code:
        error = _refused(branch, said.text, said.words)
        if isinstance(error, Moved) or "remote ref does not exist" in said.text + said.words:
            return False
        raise error
    return True


def _refused(branch: str, out: str, words: str) -> PipelineError:
    """git-push(1), OUTPUT: `!` TAB from:to TAB [rejected] (why)."""
    line = next((line for line in out.splitlines() if line.startswith("!")), "")
    reason = found[1] if (found := re.search(r"\(([^()]*)\)\s*$", line)) else last(words)
    if re.search(r"fetch first|non-fast-forward|stale info|failed to update ref|cannot lock ref", f"{line} {words}"):
        return Moved(f"{branch} has moved meanwhile", remedy="it is tried again from its newest commit", transient=True)
    if "checked out" in f"{line} {words}":
        fact = f"the push to {branch} is refused: somebody has this branch checked out there"
        return Refused(fact, remedy="make that repository bare, or set its receive.denyCurrentBranch to updateInstead")
    told = " ".join(line[8:].strip() for line in words.splitlines() if line.startswith("remote: "))[:300]
    fact = f"the push to {branch} is refused: {reason}" + (f": {told}" if told and told != reason else "")
    remedy = "let the server's user push to this branch (branch protection), or set `rebuild: propose`"
    return Refused(fact, remedy=remedy)


__all__ = ["commit", "push", "remove"]
