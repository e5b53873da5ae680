"""Checks what a base and an image must hold (`requires` of the manifest) from the files of their layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import cache_key
from pipeline.errors import CheckError
from pipeline.facts import Facts
from pipeline.oci.descriptor import Layer
from pipeline.oci.requires import Lack, undecided
from pipeline.oci.requires import check as lacks
from pipeline.oci.requires_find import READ
from pipeline.plan.model import ImageWork, Plan, Step
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench
from pipeline.stages.borrow import from_the_top, known_of
from pipeline.store.image_files import ImageFiles


def check(step: Step, plan: Plan, bench: Bench, ids: Sequence[str]) -> None:
    """Raises CheckError with everything that the base and the image have not."""
    assert isinstance(step.work, ImageWork)
    image, steps = step.work.image, [plan.step(id_) for id_ in ids]
    below = [layer for one in steps if one.kind == "base" for layer in layers_of(one, bench)]
    whole = [layer for one in steps for layer in layers_of(one, bench)]
    known = known_of(steps)
    wrong = {
        f"base {image.base}": _lacks(step.work.requires, below, known, bench),
        f"image {image.name}": _lacks(image.requires, whole, known, bench),
    }
    if any(wrong.values()):
        told = [f"{what} lacks what it requires:" + _lines(found) for what, found in wrong.items() if found]
        base = bench.manifest.bases.get(image.base)
        place = base.location if base and wrong[f"base {image.base}"] else step.place
        remedy = "add what is lacking, take another base, or change `requires`"
        raise CheckError("\n".join(told), remedy=remedy, place=place)


def _lacks(required: Mapping[str, Any], layers: Sequence[Layer], told: Facts, bench: Bench) -> Sequence[Lack]:
    """What is required and not there; that nothing is lacking is remembered. Layers are read downwards from the
    uppermost, as far as it takes: not at all, where what is known of the base says enough.
    """
    memo = "requires " + cache_key([[layer.diff_id for layer in layers], dict(required)])
    if not required or bench.cache.known(memo):
        return ()
    left: Mapping[str, Any] = undecided(required, told)
    for upper in from_the_top(layers, bench) if left else ():
        files = ImageFiles(bench.store, upper, READ)
        if len(upper) == len(layers) and (found := lacks(left, files)):
            return found
        left = undecided(left, files) if len(upper) < len(layers) else {}
        if not left:
            break
    bench.cache.tell(memo, True)
    return ()


def _lines(found: Sequence[Lack]) -> str:
    return "".join(f"\n  {lack}" for lack in found)
