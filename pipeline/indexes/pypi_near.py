"""One package more without asking indexes about all others: what is locked stays, and what is new is looked up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipeline.errors import PipelineError, ResolveError
from pipeline.indexes.pypi_choice import Compile, Package
from pipeline.layers._requirements import Requested, normalise, project_of


def near(
    wanted: Requested, held: Mapping[str, Package], installed: Collection[str], compiled: Compile
) -> list[dict[str, Any]] | None:
    """The answer by pages of indexes as uv has them in its cache, where fresh ones would tell the same: all that is
    `held` (by normalised name) or `installed` stays, and what is new was looked up just now. None where that is not so.

    To ask an index whether its pages have changed takes a second for some fifty packages. Raises OutOfReach.
    """
    if not held or wanted.direct() or not all(each.get("file") for each in held.values()):
        return None
    new = [line for line in wanted.requirements if project_of(line) not in held]
    try:
        # uv keeps these pages, so that the whole is resolved with them.
        looked_up = _versions(compiled(new, wanted.constraints)) if new else {}
    except ResolveError:
        # With all requirements uv explains it better.
        return None
    try:
        packages = compiled(wanted.requirements, wanted.constraints, cached=True)
    except PipelineError:
        return None
    found = _versions(packages)
    moved = [name for name in held if found.get(name, held[name]["version"]) != held[name]["version"]]
    return packages if not moved and found.keys() <= {*held, *installed, *looked_up} else None


def _versions(packages: Iterable[Package]) -> dict[str, str]:
    return {normalise(each["name"]): str(each.get("version", "")) for each in packages}
