"""What becomes of a lock that came out otherwise: proposed on a branch of its own, or committed to the watched one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pipeline.digest import digest_of
from pipeline.lock.diff import Change
from pipeline.noun import noun
from pipeline.serve import rebuilds, withdrawals
from pipeline.serve.git.errors import Moved
from pipeline.serve.ports import Work
from pipeline.serve.watch import accept

Policy = Literal["propose", "apply"]
_TRIES = 3
_PAUSE = 5.0
_LINES = 300
_TITLE = 100


@noun
class Movement:
    """How two locks differ in what they name: a line for each change, and all in a few words."""

    lines: tuple[str, ...]
    words: str


def policy_of(work: Work, asked: str = "") -> Policy:
    """What is done with a new lock. It is only proposed where a commit needs somebody's word or signature: the server
    has neither.
    """
    policies = work.repository.policies
    if policies.approve or work.repository.signed:
        return "propose"
    return cast(Policy, asked or policies.rebuild)


def lock_text(manifest: Path) -> str:
    """The lock of a manifest as it stands beside it; empty for none."""
    from pipeline.lock.model import path_of

    try:
        return path_of(manifest).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def movement(old: str, new: str) -> Movement | None:
    """How two locks (their texts) differ; None where at most the project's own files or the format do: a run takes
    those as they are. Raises ManifestError for what is no lock.
    """
    from pipeline.lock.diff import differences, told
    from pipeline.lock.model import Lock
    from pipeline.lock.text import parse

    before, after = (parse(text, "the lock") if text else Lock() for text in (old, new))
    # The entries of bases and layers name a platform; the rows of files do not.
    found = [change for change in differences(before, after) if " " in change.entry]
    if not found:
        return None
    return Movement(tuple(told(found, before, after)), words(found))


def words(found: Sequence[Change]) -> str:
    """`base slim: python:3.11-slim 3f9c… → 77ab…; packages: numpy 1.26.4 → 2.0.0 and 3 more`."""
    from pipeline.lock.model import head_of

    parts: dict[str, list[str]] = {}
    for change in found:
        section, _, name = head_of(change.entry).partition(".")
        texts = parts.setdefault(f"base {name}" if section == "bases" else "packages", [])
        text = _base(change) if section == "bases" else f"{name} {change.text}" if change.note else change.text
        if text not in texts:
            texts.append(text)
    counts = {title: f" and {len(texts) - 1} more" if texts[1:] else "" for title, texts in parts.items()}
    return "; ".join(f"{title}: {texts[0]}{counts[title]}" for title, texts in parts.items())


def _base(change: Change) -> str:
    """`python:3.11-slim 3f9c… → 77ab…`; packages as always."""
    (old, _, was), (new, _, now) = change.old.rpartition("@"), change.new.rpartition("@")
    same = change.name == "image" and old and old == new
    return f"{old} {was} → {now}" if same else change.text


# -- proposing, and committing ----------------------------------------------------------------------------------------


def keep(work: Work, old: str, moved: Movement, policy: Policy, upgrade: Sequence[str] = ()) -> Mapping[str, Any]:
    """Proposes or commits the lock that is in the checkout; `old` is that of the commit. What is told of the job.

    Raises Refused where the push is, OutOfReach, and Moved where others were faster each time.
    """
    told = {"lock": list(moved.lines), "moved": moved.words, "policy": policy}
    return told | (_propose(work, old, moved, upgrade) if policy == "propose" else _commit(work, old, moved))


def pending(work: Work, old: str) -> Mapping[str, Any]:
    """What was proposed for this manifest and not taken yet: {"upgrade", "lock", "branch", "url"}; empty for none."""
    kept = work.book.database.fact(_fact(work)) or {}
    return kept if kept.get("on") == digest_of(old.encode()) else {}


def standing(work: Work, old: str) -> Mapping[str, Any]:
    """What was proposed for this manifest and is not merged: a new proposal takes its place, also where others have
    changed the lock since.
    """
    kept = work.book.database.fact(_fact(work)) or {}
    return kept if kept.get("lock") != digest_of(old.encode()) else {}


def withdraw(work: Work, why: str) -> bool:
    """There is nothing to propose any more; whether there was. Its pull request is closed, and says why."""
    return withdrawals.withdraw(work.book.database, work.job.manifest, why, work.now())


def _fact(work: Work) -> str:
    return f"{withdrawals.PROPOSED}{work.job.manifest.id}"


def branch_of(work: Work) -> str:
    """The branch that proposals for a manifest go to, which is the server's own (git-check-ref-format(1))."""
    name = (work.entry.name if work.entry else "") or work.manifest.stem
    return f"pipeline/rebuild/{re.sub(r'[.]lock$', '-lock', re.sub(r'[.]{2,}', '.', name))}"


def _propose(work: Work, old: str, moved: Movement, upgrade: Sequence[str]) -> dict[str, Any]:
    new, branch = digest_of(lock_text(work.manifest).encode()), branch_of(work)
    before = pending(work, old)
    if before.get("lock") == new:
        return {"text": "proposed already", "branch": before["branch"], "url": before["url"]}
    into, url = work.repository.branch, ""
    fact = {"on": digest_of(old.encode()), "lock": new, "upgrade": list(upgrade), "branch": branch, "into": into}
    with work.git.alone(branch):
        commit = work.git.push(work.checkout, [_path(work)], _message(work, moved), branch, force=True)
        if work.host:
            url = work.host.propose(branch, into, _title(work, moved), "\n".join(_body(work, moved)))
        _replace(work, {**fact, "commit": commit, "url": url})
    where = f"proposed: {url}" if url else f"proposed: branch {branch}"
    return {"text": f"{where} ({moved.words})", "branch": branch, "url": url}


def _replace(work: Work, fact: Mapping[str, Any]) -> None:
    """Keeps what is proposed now. One that went by another branch, or into another, is withdrawn."""
    database = work.book.database
    with database.transaction():
        before = database.fact(_fact(work)) or {}
        places = [(one.get("branch"), one.get("into")) for one in (before, fact)]
        if before.get("branch") and places[0] != places[1]:
            why = f"a newer proposal takes its place: {fact['url'] or fact['branch']}"
            withdrawals.withdraw(database, work.job.manifest, why, work.now(), before)
        database.keep(_fact(work), fact)


def _commit(work: Work, old: str, moved: Movement) -> dict[str, Any]:
    """Onto the watched branch. Where that has gone on meanwhile, onto its newest commit, if the lock is still the same
    there; else all is done again from there.
    """
    new, branch, folder = lock_text(work.manifest), work.repository.branch, work.checkout
    try:
        commit = work.git.push(folder, [_path(work)], _message(work, moved), branch)
    except Moved:
        for left in reversed(range(_TRIES)):
            tip = work.git.tip()
            work.git.fetch(tip)
            with work.git.at(tip, work.job.manifest.path, submodules=True) as folder:
                manifest = folder / work.job.manifest.path
                there = lock_text(manifest) if manifest.is_file() else None
                if there == new:
                    # It had been pushed before the server was killed.
                    commit = tip
                    break
                if there != old:
                    return _again(work)
                manifest.with_suffix(".lock").write_text(new, encoding="utf-8")
                try:
                    commit = work.git.push(folder, [_path(work)], _message(work, moved), branch)
                    break
                except Moved:
                    if not left:
                        raise
    if work.repository.signed:
        # The server has no key: it knows its own commit by its hash.
        accept(work.book, work.repository.name, commit)
    withdraw(work, f"the lock was resolved anew, built and committed as {commit[:7]}")
    _hold(work)
    return {"text": f"applied, and committed as {commit[:7]} ({moved.words})", "commit": commit}


def _hold(work: Work) -> None:
    """A run of a commit that came meanwhile would go back to the old lock, and the one of the lock's commit forward
    again: it waits until that takes its place.
    """
    for job in work.queue.open():
        if job.manifest == work.job.manifest and job.action == "run" and job.state == "waiting":
            work.queue.note(job.id, due=work.now() + work.repository.poll + _PAUSE)


def _again(work: Work) -> dict[str, Any]:
    # By then it is known here what they have changed.
    rebuilds.again(work.queue, work.job, work.now() + work.repository.poll + _PAUSE)
    return {"text": "others have changed the lock meanwhile: it is resolved again from there"}


def _path(work: Work) -> str:
    from pipeline.lock.model import path_of

    return path_of(Path(work.job.manifest.path)).as_posix()


# -- words ------------------------------------------------------------------------------------------------------------


def _title(work: Work, moved: Movement) -> str:
    name = (work.entry.name if work.entry else "") or work.manifest.stem
    title = f"{name}: {moved.words}"
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"


def _message(work: Work, moved: Movement) -> str:
    return "\n".join([_title(work, moved), "", f"By pipeline: {work.job.reason.text}.", "", *_shown(moved)]) + "\n"


def _body(work: Work, moved: Movement) -> Iterator[str]:
    """Of the pull request, in Markdown."""
    yield f"`{work.job.manifest.path}` was resolved anew ({_plain(work.job.reason.text)}), and this is what moved:"
    yield ""
    yield "```text"
    yield from (line.replace("```", "'''") for line in _shown(moved))
    yield "```"
    yield ""
    yield "Nothing was built with it yet. Once it is merged, the manifest is run with what stands here."


def _shown(moved: Movement) -> Iterator[str]:
    yield from moved.lines[:_LINES]
    if (more := len(moved.lines) - _LINES) > 0:
        yield f"and {more} more"


def _plain(text: str) -> str:
    """Text that no Markdown is made of."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~@-])", r"\\\1", text)


__all__ = [
    "Movement",
    "Policy",
    "branch_of",
    "keep",
    "lock_text",
    "movement",
    "pending",
    "policy_of",
    "standing",
    "withdraw",
    "words",
]
