"""Builds source distributions into wheels, in a container made from the layers below, and keeps them in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.assemble.entry import Entry
from pipeline.digest import cache_key
from pipeline.errors import AssembleError
from pipeline.layers._requirements import gather, normalise
from pipeline.layers._sources import PRIVATE, REQUIREMENTS, WHEELS, requirements
from pipeline.plan.model import LayerWork, Plan, Step
from pipeline.recipe import Assemble, Execute
from pipeline.stages.bench import Bench
from pipeline.stages.execute import performed

_CONF = "pip.conf"


def built(step: Step, recipe: Assemble, plan: Plan, bench: Bench) -> dict[str, Path]:
    """The wheels of `recipe`'s sources by file name; those that were built before on the same layers are not again.

    Raises CommandFailed, AssembleError; OutOfReach when there is no engine.
    """
    sources: list[Mapping[str, Any]] = recipe.inputs["sources"]
    memos = {each["name"]: _memo(each, step, recipe, plan) for each in sources}
    lacking = [each for each in sources if not _known(memos[each["name"]], bench)]
    if lacking:
        for name, kept in _build(lacking, step, recipe, plan, bench).items():
            bench.store.database.remember(memos[name], kept)
    found = [_known(memos[each["name"]], bench) for each in sources]
    return {kept["file"]: bench.store.blobs.path(kept["digest"]) for kept in found if kept}


def _memo(source: Mapping[str, Any], step: Step, recipe: Assemble, plan: Plan) -> str:
    """What a wheel is known by: its source, the command that makes it, and all that it is made on."""
    assert isinstance(step.work, LayerWork) and recipe.build
    below = [plan.step(id_).key for id_ in step.work.below]
    return "wheel " + cache_key([source["sha256"], recipe.build.argv, dict(recipe.build.env), below])


def _known(memo: str, bench: Bench) -> dict[str, Any] | None:
    kept: Any = bench.store.database.memo(memo)
    return kept if kept and bench.store.blobs.whole(kept["digest"]) else None


def _build(
    sources: Sequence[Mapping[str, Any]], step: Step, recipe: Assemble, plan: Plan, bench: Bench
) -> dict[str, dict[str, str]]:
    """Builds, and puts the wheels into the store: {file, digest} by the project's name."""
    assert recipe.build
    names = ",".join(each["name"] for each in sources)
    bench.say(step.id, f"building {names}")
    conf, folders = bench.indexes.pypi.source_settings(gather(recipe.sources, bench.files), bench.files)
    files = {REQUIREMENTS: requirements(sources).encode(), **_here(sources, folders)}
    with performed(step, _told(recipe.build, names, conf), plan, bench, files) as changed:
        made = _taken(changed, bench)
    if missing := [each["file"] for each in sources if each["name"] not in made]:
        raise AssembleError(f"pip made no wheel of {missing[0]}", place=step.place)
    return made


def _told(command: Execute, names: str, conf: str) -> Execute:
    """The command, told what to build and where its sources are; as a secret: an address may hold a password."""
    env = {**command.env, "PIP_NO_BINARY": names}
    if not conf:
        return replace(command, env=env)
    return replace(command, env={**env, "PIP_CONFIG_FILE": f"/run/secrets/{_CONF}"}, secrets={_CONF: conf})


def _here(sources: Sequence[Mapping[str, Any]], folders: Iterable[Path]) -> dict[str, bytes]:
    """Sources that lie in folders of this machine, for the container; pip checks their hashes."""
    found = {}
    for each in sources:
        for folder in folders:
            with suppress(OSError):
                found[f"{PRIVATE}/{each['file']}"] = (folder / each["file"]).read_bytes()
    return found


def _taken(changed: Iterable[Entry], bench: Bench) -> dict[str, dict[str, str]]:
    """The wheels among what the command changed."""
    made = {}
    for entry in changed:
        folder, _, file = f"/{entry.path}".rpartition("/")
        if folder == WHEELS and file.endswith(".whl") and entry.type == "file":
            data = entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()
            made[normalise(file.split("-")[0])] = {"file": file, "digest": bench.store.blobs.put(data)}
    return made
