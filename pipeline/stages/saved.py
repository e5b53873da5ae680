"""A plan in a file: written to be read, approved and performed exactly so later, or refused when the world has moved.

JSON, version 1. It names what was asked (manifest, images, values of --set), the lock where it is not the one on disk
yet, each step with its key, its inputs and its verdict, and the world as it was seen: which revision lives on each
target, and what each tag was that is to move. It holds no secret and no place of this machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.digest import cache_key, short
from pipeline.errors import PipelineError, StalePlan, UsageError
from pipeline.lock.model import Lock
from pipeline.lock.text import dump, parse
from pipeline.noun import noun
from pipeline.plan.model import Plan, Step, TagWork, TargetWork
from pipeline.plan.why import hidden, why
from pipeline.stages.bench import Bench

VERSION = 1


@noun
class Asked:
    """What a plan was asked for; `withheld` are names of --set whose values are secret."""

    manifest: str
    images: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()


@noun
class Saved:
    """A plan that was read from `path`; `lock` is None where it is the one on disk."""

    path: Path
    asked: Asked
    lock: Lock | None
    value: Mapping[str, Any]

    @property
    def manifest(self) -> Path:
        """Where the manifest should be, as seen from the file."""
        return Path(os.path.normpath(self.path.parent / self.asked.manifest))


def asked_of(bench: Bench, file: Path, images: Iterable[str], sets: Mapping[str, str]) -> Asked:
    """What is written down of a question."""
    secret = {text.reveal() for text in bench.manifest.secrets}
    withheld = tuple(name for name, value in sets.items() if any(text and text in value for text in secret))
    manifest = os.path.relpath(bench.manifest.path, file.absolute().parent)
    return Asked(manifest, tuple(images), {name: sets[name] for name in sets if name not in withheld}, withheld)


def to_json(bench: Bench, asked: Asked, plan: Plan, on_disk: Lock, wanted: Lock, summary: str) -> dict[str, Any]:
    """The file's content; asks the targets and the registries that the plan would change what they are now."""
    return {
        "version": VERSION,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "summary": summary,
        **asdict(asked),
        "name": plan.name,
        "digest": bench.manifest.digest,
        "locked": cache_key(dump(on_disk)),
        "lock": json.loads(dump(wanted)) if wanted != on_disk else None,
        "live": _live(bench, plan),
        "tags": _tags(bench, plan),
        "steps": [_step(step, plan) for step in plan.steps],
    }


def _step(step: Step, plan: Plan) -> dict[str, Any]:
    verdict = plan.verdicts[step.id]
    inputs = {name: hidden(text) for name, text in step.inputs.items()}
    return {"step": step.id, "key": step.key, "hit": verdict.hit, "why": verdict.why, "inputs": inputs}


def _live(bench: Bench, plan: Plan) -> dict[str, str]:
    """The revision on each target that the plan would change, or in what state it is instead of running."""
    from pipeline.stages.release import target_of

    found = {}
    for step in plan.steps:
        if isinstance(step.work, TargetWork) and not plan.verdicts[step.id].hit:
            seen = target_of(bench, step.work.target).observe()
            found[step.id] = seen.revision if seen.state in ("running", "starting") else seen.state
    return found


def _tags(bench: Bench, plan: Plan) -> dict[str, str]:
    """The digest of each tag of a registry that the plan would move; none of a registry out of reach."""
    found = {}
    for step in plan.steps:
        if isinstance(step.work, TagWork) and not plan.verdicts[step.id].hit:
            for tag in step.work.published:
                try:
                    found[str(tag)] = bench.sightings.digest(tag)
                except PipelineError:
                    continue
    return found


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Puts the file there in one act. UsageError where that cannot be."""
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise UsageError(
            f"the plan {path} cannot be written: {error.strerror}", remedy="name a file in a folder that is there"
        ) from error


def read(path: Path) -> Saved:
    """Raises UsageError for a file that is no plan, or one of another version."""
    again = "write one with 'pipeline plan --save'"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", remedy=again) from error
    except ValueError as error:
        raise UsageError(f"{path} is no saved plan", remedy=again) from error
    version = value.get("version") if isinstance(value, dict) else None
    if version != VERSION:
        said = f"{path} is a plan of version {version!r}, not {VERSION}" if version else f"{path} is no saved plan"
        raise UsageError(said, remedy=again)
    try:
        asked = Asked(value["manifest"], tuple(value["images"]), dict(value["sets"]), tuple(value["withheld"]))
        lock = parse(json.dumps(value["lock"]), str(path)) if value["lock"] else None
        _ = [(step["step"], step["key"], step["hit"], step["inputs"]) for step in value["steps"]]
        _ = [value[key] for key in ("name", "digest", "locked", "live", "tags")]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged as a saved plan", remedy=again) from error
    return Saved(path, asked, lock, value)


def stale(saved: Saved, reasons: Iterable[str]) -> StalePlan:
    """The error that says what moved since a plan was made."""
    remedy = "see what it would be now: pipeline plan"
    return StalePlan(f"{saved.path} does not hold any more, and nothing was done", tuple(reasons), remedy=remedy)


def moved_before(saved: Saved, bench: Bench, on_disk: Lock) -> list[str]:
    """What has moved as far as it can be told before anything is resolved."""
    value, found = saved.value, []
    if value["name"] != bench.manifest.name:
        return [f"it is a plan of the manifest {value['name']}, and this one is {bench.manifest.name}"]
    if value["digest"] != bench.manifest.digest:
        found.append("the manifest is another")
    if value["locked"] != cache_key(dump(on_disk)) and on_disk != saved.lock:
        found.append("the lock is another")
    return found


def moved(saved: Saved, bench: Bench, plan: Plan) -> list[str]:
    """What has moved since. That something was done meanwhile by another run is fine."""
    then = {step["step"]: step for step in saved.value["steps"]}
    now = {step.id: step for step in plan.steps}
    found = [f"{id_} is {'new' if id_ in now else 'gone'}" for id_ in {**then, **now} if (id_ in then) != (id_ in now)]
    changed = [id_ for id_ in now if id_ in then and now[id_].key != then[id_]["key"]]
    found += [f"{id_}: {_why(then[id_]['inputs'], now[id_])}" for id_ in changed]
    lost = [
        id_ for id_ in now if id_ in then and id_ not in changed and then[id_]["hit"] and not plan.verdicts[id_].hit
    ]
    found += [f"{id_} was there, and is not now: {plan.verdicts[id_].why}" for id_ in lost]
    if not found:
        live = {id_: text for id_, text in _live(bench, plan).items() if not _under_way(bench, plan, id_, text)}
        found += _differences(saved.value["live"], live, lambda text: text)
        found += _differences(saved.value["tags"], _tags(bench, plan), short)
    return found


def _under_way(bench: Bench, plan: Plan, id_: str, live: str) -> bool:
    """Whether what is live is what the plan rolls out: a run of it was interrupted before that was healthy."""
    from pipeline.stages.release import going_to

    return bool(live) and live == going_to(plan.step(id_), plan, bench)


def _why(before: Mapping[str, str], step: Step) -> str:
    now = {name: hidden(text) or "" for name, text in step.inputs.items()}
    return why(before, now) if before != now else "a secret changed, or what it was made of"


def _differences(then: Mapping[str, str], now: Mapping[str, str], text: Callable[[str], str]) -> list[str]:
    """What is live or tagged otherwise; what is not asked any more was done meanwhile."""
    return [
        f"{name} was {text(then[name]) or 'not there'}, and is {text(now[name]) or 'not there'} now"
        for name in now
        if name in then and then[name] != now[name]
    ]
