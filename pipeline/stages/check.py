"""Stage: proves that an image is fit to serve, before any tag moves: size, imports, and a scored request."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import CheckError, RolloutError
from pipeline.facts import Platform
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.plan.model import CheckWork, Plan, Step
from pipeline.stages import gate
from pipeline.stages.bench import Bench, Result, machine_platform
from pipeline.stages.borrow import contents
from pipeline.stages.image import superseded
from pipeline.stages.wanted import mounts_of, release_of
from pipeline.store.lookup import ImageDocuments, documents
from pipeline.targets.model import Mount, mounted

_IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        sys.exit(f"{name}: {type(error).__name__}: {error}")
"""
_IMPORT_SECONDS = 300.0


def done(step: Step, plan: Plan | None, bench: Bench) -> bool:
    assert isinstance(step.work, CheckWork)
    record = bench.store.database.record(step.key)
    return record is not None and not superseded(record.get("image", ""), step.work.built, plan, bench)


def lost(step: Step, bench: Bench) -> str:
    """A check that is known counts no more only when its image is another one by now."""
    known = bench.store.database.record(step.key) is not None
    return "its image was made again, and came out otherwise" if known else ""


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    """Every check that the manifest asks for, and a start of the service where there is one.

    Raises CheckError; the size is checked for each platform, what must run only for one that this machine can run.
    """
    assert isinstance(step.work, CheckWork)
    built = Descriptor.from_json(bench.record(plan.step(step.work.built))["image"])
    said = []
    for image in documents(bench.store, built):
        said += _size(step.work, image, bench)
        if image.platform != Platform.parse(machine_platform()):
            said.append(f"{image.platform} not run on this machine")
            continue
        mounts = mounts_of(step.work.mounts, plan, bench)
        said += _imports(step.work, image, mounts, bench)
        said += _serves(step.work, built, mounts, bench)
    return Result({"image": built.digest}, title=", ".join(said))


def _size(work: CheckWork, image: ImageDocuments, bench: Bench) -> list[str]:
    limit = work.image.checks.size
    if limit is None:
        return []
    size = sum(_unpacked(layer, bench) for layer in image.layers)
    if size > limit:
        largest = max(image.layers, key=lambda layer: _unpacked(layer, bench))
        raise CheckError(
            f"image {work.image.name} is {size / 1e6:.0f} MB unpacked, and checks.size allows {limit / 1e6:.0f} MB",
            remedy=f"its largest layer is '{largest.created_by}', {_unpacked(largest, bench) / 1e6:.0f} MB",
        )
    return [f"{size / 1e6:.0f} MB unpacked"]


def _unpacked(layer: Layer, bench: Bench) -> int:
    return sum(member[5] for member in contents(layer, bench)["members"] if member[1] == "file")


def _imports(work: CheckWork, image: ImageDocuments, mounts: Sequence[Mount], bench: Bench) -> list[str]:
    names = work.image.checks.imports
    if not names:
        return []
    from pipeline.targets import _sandbox as sandbox

    roots = [bench.store.roots.layer(layer) for layer in (*image.layers, *mounted(mounts))]
    python = work.python or "python3"
    with bench.store.scratch() as scratch:
        argv = [python, "-c", _IMPORTS, *names]
        ended = sandbox.run(roots, image.config, argv, scratch=scratch, timeout=_IMPORT_SECONDS)
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {ended.returncode}"]
        raise CheckError(
            f"image {work.image.name} cannot import {said[-1]}",
            remedy="add the package to a pip layer, or take the module out of checks.imports",
        )
    return [f"{len(names)} import{'s' * (len(names) != 1)}"]


def _serves(work: CheckWork, built: Descriptor, mounts: tuple[Mount, ...], bench: Bench) -> list[str]:
    """Starts the service on a port of its own, waits for its health, scores, and stops it."""
    if not work.image.serve:
        return []
    from pipeline.targets import local

    with bench.store.scratch() as scratch:
        name = f"check-{work.image.name}"
        target = local.target(name, {}, state=scratch, roots=bench.store.roots, detached=False)
        wanted = release_of(bench.store, work.image, built, name, _free_port(), {"restart": "no"}, mounts)
        try:
            outcome = gate.prove(target, wanted, deadline=work.deadline, score=work.image.checks.score)
        except RolloutError as error:
            unfit = CheckError(f"image {work.image.name} does not serve: {error.message}", remedy=error.remedy)
            unfit.log = error.log
            raise unfit from error
        finally:
            target.stop()
    return [f"serves, scored in {outcome.score.milliseconds:.0f} ms" if outcome.score else "serves"]


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
