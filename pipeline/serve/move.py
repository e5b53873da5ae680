"""What it comes to that a branch moved: entries for the book, jobs for the queue. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.noun import noun
from pipeline.serve.model import Entry, Job, Reason, Tracked
from pipeline.serve.names import conflicts, is_twice
from pipeline.serve.queue import AFTER
from pipeline.serve.settings import Policies
from pipeline.serve.survey import Survey

_SHOWN = 3


@noun
class Move:
    """`entries` as they are to be kept, `forgotten` ones that live on under another path, `dropped` those that were
    deleted (what of theirs waits is not to begin), and the `jobs`, in their order.
    """

    entries: tuple[Entry, ...]
    forgotten: tuple[Tracked, ...]
    dropped: tuple[Tracked, ...]
    jobs: tuple[Job, ...]


def move(
    old: str,
    new: str,
    known: Sequence[Entry],
    found: Survey,
    reason: Reason,
    policies: Policies,
    now: float,
    others: Sequence[Entry] = (),
) -> Move:
    """From one commit (none: the first that is seen) to another. Nothing is ever stopped by the first. `others` are the
    manifests of other repositories.
    """
    before = {one.manifest: one for one in known}
    after = before | {one.manifest: one for one in found.read}
    gone = [one for one in found.gone if one.manifest in after]
    for one in gone:
        after[one.manifest] = replace(one, gone=True, commit=old or one.commit)
    wrong = conflicts([*after.values()], known, others)
    free = [one.manifest for one in after.values() if is_twice(one) and one.manifest not in wrong]
    # The one that had their name has gone, or has another now.
    after |= {manifest: replace(after[manifest], error="", commit=new) for manifest in free}
    after |= {manifest: replace(after[manifest], error=words) for manifest, words in wrong.items()}
    touched = {*(one.manifest for one in found.read), *free}
    moved = _moved(after.values())
    changed = [one for one in after.values() if before.get(one.manifest) != one and one.manifest not in moved]
    former = [before[manifest] for manifest in sorted_(touched & before.keys() - wrong.keys())]
    former = [one for one in former if old and _is_former(one, after, policies)]
    jobs = [_run(after[manifest], wrong.get(manifest, ""), new, reason, policies, now) for manifest in sorted_(touched)]
    jobs = [_after(job, [one for one, name in moved.items() if name == after[job.manifest].name]) for job in jobs]
    stops = [one for one in gone if policies.prune and old and one.manifest not in moved]
    # What runs under a former name may hold a port that the new one wants.
    first = [_stop(replace(one, commit=old), new, reason, f"no more called '{one.name}' since") for one in former]
    return Move(
        entries=tuple(sorted(changed, key=lambda one: one.manifest.id)),
        forgotten=tuple(sorted_(moved)),
        dropped=tuple(one.manifest for one in gone),
        jobs=(*first, *jobs, *(_stop(after[one.manifest], new, reason) for one in stops)),
    )


def _moved(entries: Collection[Entry]) -> dict[Tracked, str]:
    """Manifests that are gone, and whose name another one has now: they live on there."""
    names = {one.name for one in entries if not one.gone and one.name}
    return {one.manifest: one.name for one in entries if one.gone and one.name in names}


def _is_former(one: Entry, after: Mapping[Tracked, Entry], policies: Policies) -> bool:
    """Whether a manifest was called so, nobody is now, and that is to be stopped. Before an approval nothing is."""
    names = {each.name for each in after.values() if not each.gone}
    known = bool(one.name and after[one.manifest].name) and not is_twice(one) and not one.gone
    return known and one.name not in names and policies.prune and not policies.approve


def _after(job: Job, before: Iterable[Tracked]) -> Job:
    """What still runs of those that had its name before must not come after it."""
    ids = [one.id for one in sorted_(before)]
    return replace(job, asked={AFTER: ids}) if ids else job


def sorted_(manifests: Iterable[Tracked]) -> list[Tracked]:
    return sorted(manifests, key=lambda one: one.id)


def _run(one: Entry, wrong: str, commit: str, reason: Reason, policies: Policies, now: float) -> Job:
    """A run; for a manifest that must not run, one that has failed. What else is wrong with it, the run tells."""
    if wrong:
        told = {"text": f"{one.manifest.path}: {wrong}"}
        made = Job(0, one.manifest, "run", reason, state="failed", commit=commit, exit_code=2, told=told)
        return replace(made, created=now, ended=now)
    return Job(0, one.manifest, "run", reason, state="approval" if policies.approve else "waiting", commit=commit)


def _stop(one: Entry, commit: str, reason: Reason, why: str = "deleted by") -> Job:
    text = f"{why} {reason.text}"
    return Job(0, one.manifest, "stop", replace(reason, cause="prune", text=text), commit=one.commit or commit)


def left(gone: Sequence[str], policies: Policies) -> str:
    """That manifests (paths) were deleted and may still run, in words; nothing where none was."""
    if not gone or policies.prune:
        return ""
    names = ", ".join(gone[:_SHOWN]) + (f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else "")
    return f"deleted, and what they run is left alone (`prune` is not set): {names}"


__all__ = ["Move", "left", "move"]
