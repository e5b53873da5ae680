"""Checks what a base and an image must hold (`requires` of the manifest) from the files of their layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import cache_key
from pipeline.errors import CheckError, Location
from pipeline.oci.descriptor import Layer
from pipeline.oci.requires import check as lacks
from pipeline.oci.requires_find import READ
from pipeline.plan.model import ImageWork, Plan, Step
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench
from pipeline.store.image_files import ImageFiles


def check(step: Step, plan: Plan, bench: Bench, ids: Sequence[str]) -> None:
    """Raises CheckError with everything that the base, or the image, has not."""
    assert isinstance(step.work, ImageWork)
    image, steps = step.work.image, [plan.step(id_) for id_ in ids]
    below = [layer for one in steps if one.kind == "base" for layer in layers_of(one, bench)]
    base = bench.manifest.bases.get(image.base)
    _check(f"base {image.base}", step.work.requires, below, bench, base.location if base else step.place)
    whole = [layer for one in steps for layer in layers_of(one, bench)]
    _check(f"image {image.name}", image.requires, whole, bench, step.place)


def _check(what: str, required: Mapping[str, Any], layers: Sequence[Layer], bench: Bench, place: Location) -> None:
    if not required:
        return
    memo = "requires " + cache_key([[layer.diff_id for layer in layers], dict(required)])
    if bench.store.database.memo(memo):
        return
    found = lacks(required, ImageFiles(bench.store, layers, READ))
    if found:
        lines = "".join(f"\n  {lack}" for lack in found)
        raise CheckError(
            f"{what} lacks what it requires:{lines}",
            remedy="add it, take another base, or change `requires`",
            place=place,
        )
    bench.store.database.remember(memo, True)
