"""Stage: makes one OCI layer of what a command changes in a container made from the layers below."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from pipeline import limit
from pipeline.assemble.entry import Entry
from pipeline.digest import cache_key
from pipeline.engine.changes import Metadata, entries
from pipeline.engine.model import Container, Ended, Job
from pipeline.errors import CommandFailed
from pipeline.manifest.secrets import mask, reveal
from pipeline.oci.descriptor import Layer
from pipeline.plan.model import LayerWork, Plan, Step
from pipeline.plan.runtime import environment
from pipeline.recipe import Execute
from pipeline.stages.assemble import layers_of, record_of
from pipeline.stages.bench import Bench, Result
from pipeline.stages.parent import parent_image, retire
from pipeline.stages.provisions import provisions
from pipeline.stages.surroundings import surroundings

SHOWN = 15
"""Lines of its output that a command's failure shows."""

_PAUSE = 0.1
_KILLED = 137


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    """Raises CommandFailed; OutOfReach when the engine is not there, or goes."""
    work = step.work
    assert isinstance(work, LayerWork) and isinstance(work.recipe, Execute)
    from pipeline.assemble import layer as layers

    files = provisions(work.recipe, work.parent, bench)
    with performed(step, work.recipe, plan, bench, files) as changed:
        made, contents = layers.write(changed, bench.store.blobs, "zstd", bench.stop)
    layer = Layer(made.blob, made.diff_id, work.words)
    bench.store.put_contents(layer, contents.to_json())
    return Result(record_of([layer], work.recipe), size=layer.blob.size)


@contextmanager
def performed(
    step: Step, recipe: Execute, plan: Plan, bench: Bench, files: Mapping[str, bytes | Path] | None = None
) -> Iterator[Iterator[Entry]]:
    """Runs a command on the layers below a step, with `files` put there: what it changed, to be read in the block."""
    assert isinstance(step.work, LayerWork)
    below = [layer for id_ in step.work.below for layer in layers_of(plan.step(id_), bench)]
    job = _job(step, recipe, plan, bench, below)
    job = replace(job, files={**job.files, **(files or {})})
    with ExitStack() as stack:
        for name in sorted(job.caches.values()):
            stack.enter_context(bench.store.guard(name))
        scratch = stack.enter_context(bench.store.scratch())
        container = stack.enter_context(bench.engine.container(job))
        _perform(container, step, recipe, bench)
        retire(bench.engine, bench.store, job.title, job.image)
        yield entries(container, _Below(bench, below), scratch, mounts=job.caches, secrets=job.secrets)


def _job(step: Step, recipe: Execute, plan: Plan, bench: Bench, below: Sequence[Layer]) -> Job:
    assert isinstance(step.work, LayerWork)
    facts, build = step.work.parent, bench.manifest.build
    inherited = bench.record(plan.step(step.work.below[0]))["config"] if step.work.below else {}
    image = parent_image(bench.engine, bench.store, below, environment(facts, inherited), facts.platform)
    base = bench.manifest.path.parent
    env, files = surroundings(bench.environ, build.ca_bundle, base, facts, _has_apt_sources(bench, below))
    place = f"{facts.distribution} {facts.release} {facts.platform}"
    return Job(
        image=image,
        argv=recipe.argv,
        # Else Python orders sets, and with them bytecode, differently each time.
        env={"PYTHONHASHSEED": "0", **env, **recipe.env},
        user=recipe.user,
        workdir=recipe.workdir,
        network=recipe.network or build.network,
        memory=recipe.memory,
        cpus=recipe.cpus,
        files=files,
        secrets={name: reveal(text) for name, text in recipe.secrets.items()},
        caches={path: f"pipeline-cache-{cache_key([path, place])[:16]}" for path in recipe.caches},
        title=f"{bench.manifest.name} {step.id}",
    )


def _perform(container: Container, step: Step, recipe: Execute, bench: Bench) -> None:
    secrets = [*bench.manifest.secrets, *recipe.secrets.values()]
    shown: deque[str] = deque(maxlen=SHOWN)
    path = log_file(bench, step)
    with path.open("w", encoding="utf-8") as log:
        ended, reason = _watched(
            container, _Lines(log, shown, lambda text: bench.say(step.id, text), secrets), recipe, bench
        )
    if reason or ended.exit_code:
        failed = CommandFailed(
            f"{step.name}: {reason or _said(ended, recipe)}", remedy=_remedy(ended, reason, path), place=step.place
        )
        failed.log = tuple(shown)
        raise failed


class _Lines:
    """Takes a command's output line by line: masked, into the log file, to whoever watches, and the last few kept."""

    def __init__(self, log: IO[str], shown: deque[str], say: Callable[[str], None], secrets: Sequence[str]) -> None:
        self._log = log
        self._shown = shown
        self._say = say
        self._secrets = secrets

    def __call__(self, line: str) -> None:
        text = mask(line, self._secrets) if self._secrets else line
        self._log.write(f"{text}\n")
        self._log.flush()
        self._shown.append(text)
        self._say(text)


def log_file(bench: Bench, step: Step) -> Path:
    """Where the output of a step's last command is kept."""
    folder = bench.home.state / "logs" / bench.manifest.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{step.id.replace(' ', '-').replace('/', '_')}.log"


def _watched(container: Container, line: Callable[[str], None], recipe: Execute, bench: Bench) -> tuple[Ended, str]:
    """How the command ended, and why it was killed when it was us. Raises Interrupted when the user wants to stop."""
    with _watch(container, recipe.timeout, bench) as reason:
        ended = container.run(line)
    bench.stop()
    return ended, reason[0] if reason else ""


@contextmanager
def _watch(container: Container, timeout: float, bench: Bench) -> Iterator[list[str]]:
    """Kills the container after `timeout` seconds, and when the user wants to stop; the list then says why."""
    reason: list[str] = []
    ended = threading.Event()
    most = limit.left(timeout or float("inf"))

    def watch() -> None:
        until = time.monotonic() + most
        while not ended.wait(_PAUSE):
            if bench.halt.is_set() or time.monotonic() > until:
                reason.append("" if bench.halt.is_set() else f"it did not end within {timeout:g} s and was killed")
                container.kill()
                return

    thread = threading.Thread(target=watch, name="time limit", daemon=True)
    thread.start()
    try:
        yield reason
    finally:
        ended.set()
        thread.join()


def _said(ended: Ended, recipe: Execute) -> str:
    if ended.out_of_memory:
        limit = f", of which it may use {recipe.memory / 1e6:.0f} MB" if recipe.memory else ""
        return f"the command was killed for want of memory{limit} (exit code {ended.exit_code})"
    if ended.exit_code == _KILLED:
        return "the command was killed (exit code 137)"
    return f"the command ended with exit code {ended.exit_code}"


def _remedy(ended: Ended, reason: str, log: Path) -> str:
    if reason:
        return f"give it a longer `timeout`; its whole output is in {log}"
    if ended.out_of_memory:
        return f"give it more `memory`; its whole output is in {log}"
    return f"its whole output is in {log}"


class _Below:
    """What the layers below hold, the highest that has a path before all others."""

    def __init__(self, bench: Bench, layers: Sequence[Layer]) -> None:
        self._bench = bench
        self._layers = layers

    def folders(self, paths: set[str]) -> Mapping[str, Metadata]:
        found: dict[str, Metadata] = {}
        for layer in self._layers:
            for path, type_, mode, uid, gid, *_ in self._bench.store.contents(layer)["members"]:
                if path in paths:
                    found.pop(path, None)
                    if type_ == "dir":
                        found[path] = Metadata(mode, uid, gid)
        return found

    def children(self, folder: str) -> Iterable[str]:
        from pipeline.store.members import members, merged

        store = self._bench.store
        tree = merged(members(store, layer, number) for number, layer in enumerate(self._layers, 1))
        return {path for path in tree if path.rpartition("/")[0] == folder}


def _has_apt_sources(bench: Bench, layers: Sequence[Layer]) -> bool:
    places = ("etc/apt/sources.list", "etc/apt/sources.list.d/")
    return any(
        path.startswith(places) and path.endswith((".list", ".sources")) and size
        for layer in layers
        for path, _, _, _, _, size, *_ in bench.store.contents(layer)["members"]
    )
