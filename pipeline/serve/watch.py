"""Watches a repository: how it is, whether its newest commit may be applied, and what comes of that."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import OutOfReach, PipelineError
from pipeline.noun import noun
from pipeline.serve import loss
from pipeline.serve.book import Book
from pipeline.serve.git.errors import Gone, Moved
from pipeline.serve.model import Entry, Reason, RepositoryState, RepositoryStatus
from pipeline.serve.move import Move, left, move
from pipeline.serve.names import TWICE
from pipeline.serve.ports import Git, HostApi
from pipeline.serve.queue import Queue
from pipeline.serve.reconcile import Reconcile
from pipeline.serve.requests import Requests
from pipeline.serve.settings import Repository
from pipeline.serve.survey import Survey, survey

LONGEST = 900.0
"""Seconds between two looks at a repository that does not answer, at most (or its own interval, where that is more)."""
_SPREAD = 3.0


def duty_name(repository: str) -> str:
    """What the duty of a repository is called: to wake it when the host says that there is news."""
    return f"watch {repository}"


@noun
class Decision:
    """How a repository is, and whether its newest commit is applied."""

    state: RepositoryState
    detail: str = ""
    apply: bool = False


def decide(
    status: RepositoryStatus, tip: str, *, follows: bool, unsigned: Sequence[str] = (), lost: str = ""
) -> Decision:
    """Pure. `follows` says that the tip follows from what was applied, `unsigned` are the commits on the way there that
    have no signature that counts, and `lost` is why nobody knows what was applied. Somebody may have `accepted` one
    commit in spite of that.
    """
    if tip == status.applied:
        return Decision("ok")
    if lost and status.accepted != tip:
        fact = f"{lost}: what was applied, and what waited, is not known any more"
        return Decision("held", f"{fact}. Accept {tip[:7]}: all manifests are run then, and what is live needs nothing")
    if status.applied and not follows and status.accepted != tip:
        fact = f"{tip[:7]} does not follow from {status.applied[:7]}, which was applied: the branch was forced"
        return Decision("diverged", f"{fact}. Force it back, or accept {tip[:7]}")
    missing = [commit for commit in unsigned if commit != status.accepted]
    if missing and status.accepted != tip:
        named = ", ".join(commit[:7] for commit in missing[:3]) + (" …" if len(missing) > 3 else "")
        return Decision("unsigned", f"no signature that counts: {named}. Accept {tip[:7]}, or sign it")
    return Decision("ok", apply=True)


def accept(book: Book, repository: str, commit: str) -> None:
    """Lets one commit be applied though it is diverged or unsigned: somebody said so, or the server made it itself."""
    with book.database.transaction():
        book.put_repository(replace(book.repository(repository), accepted=commit))


class Watch:
    """`ports.Duty` of one repository. A host whose pull requests cannot be had is an error of this duty; how Git is,
    the repository's status says. `say` gets a line for the operator when that changes, and `heard` is called when there
    is something to tell; `watched` are the names of all repositories of the server.
    """

    def __init__(
        self,
        repository: Repository,
        git: Git,
        host: HostApi | None,
        book: Book,
        queue: Queue,
        say: Callable[[str], None] = lambda _line: None,
        watched: Collection[str] = (),
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._say = say
        self._heard = heard
        self._beside = [name for name in watched if name != repository.name]
        self.name = duty_name(repository.name)
        self._repository, self._git, self._host = repository, git, host
        self._book, self._queue = book, queue
        self._reconcile = Reconcile(book, queue)
        wanted = host is not None and repository.requests
        self._requests = Requests(repository, git, host, book, queue, self._others) if host and wanted else None
        self._next: float | None = None
        self._last = 0.0
        self._failures = 0
        self._checked: tuple[tuple[object, ...], tuple[str, ...]] = ((), ())

    def due(self, now: float) -> float | None:
        if self._next is None:
            # Many repositories are not all asked in the same moment.
            self._next = now + zlib.crc32(self.name.encode()) % 1000 / 1000 * min(_SPREAD, self._repository.poll)
        # The clock may have been set back.
        return min(self._next, now) if now < self._last else self._next

    def do(self, now: float) -> None:
        self._last = now
        status = self._look(now)
        self._failures = self._failures + 1 if status.state == "unreachable" else 0
        poll = self._repository.poll
        self._next = now + (min(poll * 2**self._failures, max(poll, LONGEST)) if self._failures else poll)
        if self._requests and status.applied and status.state in ("ok", "diverged", "unsigned"):
            self._requests.look(status.applied, now, self._heard)

    # -- looking ------------------------------------------------------------------------------------------------

    def _look(self, now: float) -> RepositoryStatus:
        status, seen = self._known(), ""
        try:
            seen = self._git.tip()
            if seen == status.applied:
                self._free(seen, now)
                return self._put(status, Decision("ok", self._left()), seen, now)
            self._fetch(seen)
            decision = self._decide(status, seen)
            if not decision.apply:
                return self._put(status, decision, seen, now)
            return self._apply(status, seen, now)
        except PipelineError as error:
            return self._put(status, Decision(_state_of(error), _words(error)), seen or status.seen, now)

    def _known(self) -> RepositoryStatus:
        """The status; as of a repository that was never seen, where the settings name another one now."""
        status = self._book.repository(self._repository.name)
        kept = self._book.database.fact(self._fact)
        return status if kept is None or kept == self._place else replace(status, applied="", seen="")

    @property
    def _fact(self) -> str:
        return f"watch.{self._repository.name}"

    @property
    def _place(self) -> list[str]:
        return [self._repository.url, self._repository.branch, *self._repository.folders]

    def _fetch(self, tip: str) -> None:
        try:
            self._git.fetch(tip)
        except Gone as error:
            # It was there a moment ago: forced meanwhile.
            raise OutOfReach(error.message, remedy="the next look tells", transient=True) from None

    def _decide(self, status: RepositoryStatus, tip: str) -> Decision:
        follows = not status.applied or self._git.is_ancestor(status.applied, tip)
        unsigned = self._unsigned(status.applied if follows else "", tip)
        lost = "" if status.applied else loss.of(self._book.database, self._repository.name)
        return decide(status, tip, follows=follows, unsigned=unsigned, lost=lost)

    def _unsigned(self, old: str, tip: str) -> Sequence[str]:
        """The commits on the way without a signature that counts: found once, as long as the keys are the same."""
        signed = self._repository.signed
        if signed is None:
            return ()
        asked = (old, tip, *(_stamp(file) for file in (signed.ssh, signed.openpgp) if file))
        if asked != self._checked[0]:
            found = tuple(commit for commit, who in self._git.signers(old, tip) if not who)
            self._checked = (asked, found)
        return self._checked[1]

    def _left(self) -> str:
        """What there is to say of a repository that is as it should be."""
        if not self._book.has_entries(self._repository.name):
            return f"there is no manifest below {', '.join(self._repository.folders)}"
        return left(self._book.gone(self._repository.name), self._repository.policies)

    # -- what comes of it ---------------------------------------------------------------------------------------

    def _apply(self, status: RepositoryStatus, tip: str, now: float) -> RepositoryStatus:
        known = self._book.entries(self._repository.name)
        found = survey(self._git, self._repository, status.applied, tip, known)
        reason = self._reason(status.applied, tip)
        with self._book.database.transaction():
            policies, others = self._repository.policies, self._others()
            self._write(move(status.applied, tip, known, found, reason, policies, now, others))
            applied = replace(status, applied=tip, accepted="")
            return self._put(applied, Decision("ok", self._left()), tip, now, applied=True)

    def _others(self) -> list[Entry]:
        """The manifests of the server's other repositories: what these are called, none of this one may be."""
        return [one for name in self._beside for one in self._book.entries(name)]

    def _free(self, tip: str, now: float) -> None:
        """Has manifests run whose name another one had, and has no more: a commit elsewhere may have done that."""
        if not self._book.has_entries(self._repository.name, TWICE):
            return
        reason, nothing = self._reason("", tip), Survey((), ())
        reason = replace(reason, text=f"its name is free now, {reason.text}")
        with self._book.database.transaction():
            known = self._book.entries(self._repository.name)
            self._write(move(tip, tip, known, nothing, reason, self._repository.policies, now, self._others()))

    def _write(self, made: Move) -> None:
        for one in made.entries:
            self._book.put_entry(one)
        nothing_left = (one.manifest for one in made.entries if one.gone and self._reconcile.runs_nothing(one))
        for manifest in (*made.forgotten, *nothing_left):
            self._book.forget_entry(manifest)
        for job in self._queue.open() if made.dropped else ():
            if job.manifest in made.dropped and job.state != "running" and job.action in ("run", "plan", "rebuild"):
                self._queue.cancel(job.id, "the commit that deleted its manifest")
        for job in made.jobs:
            self._queue.add(job)

    def _reason(self, old: str, new: str) -> Reason:
        commit = self._git.commit(new)
        more = self._git.count(old, new) - 1 if old else 0
        text = f"commit {new[:7]} '{commit.title}' by {commit.author}" + (f" (+{more} more)" if more > 0 else "")
        return Reason("commit", text, self._host.url(new) if self._host else "", commit.author)

    def _put(
        self, status: RepositoryStatus, decision: Decision, seen: str, now: float, *, applied: bool = False
    ) -> RepositoryStatus:
        with self._book.database.transaction():
            stored = self._book.repository(self._repository.name)
            news = applied or stored.state != decision.state or stored.detail != decision.detail
            after = replace(
                status,
                state=decision.state,
                detail=decision.detail,
                seen=seen,
                checked=now,
                changed=now if news or not stored.changed else stored.changed,
                # Somebody may have accepted a commit while this one was looked at.
                accepted="" if applied else stored.accepted,
            )
            self._book.put_repository(after)
            if applied:
                self._book.database.keep(self._fact, self._place)
                loss.over(self._book.database, self._repository.name)
        differs = (stored.state, stored.detail) != (after.state, after.detail)
        if differs:
            self._heard()
        if differs and (stored.state, after.state) != ("new", "ok"):
            self._say(f"repository {after.name} is {after.state}" + (f": {after.detail}" if after.detail else ""))
        return after


def _stamp(file: str) -> tuple[int, int]:
    """Another one when the file was changed."""
    try:
        facts = Path(file).stat()
    except OSError:
        return (0, 0)
    return (facts.st_mtime_ns, facts.st_size)


def _state_of(error: PipelineError) -> RepositoryState:
    if isinstance(error, Gone):
        return "gone"
    return "unreachable" if isinstance(error, OutOfReach | Moved) or error.transient else "broken"


def _words(error: PipelineError) -> str:
    return f"{error.message} ({error.remedy})" if error.remedy else error.message


__all__ = ["LONGEST", "Decision", "Watch", "accept", "decide", "duty_name"]
