"""What the base kinds `image`, `layout` and `archive` have in common: an image that exists, taken as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import short
from pipeline.facts import Facts
from pipeline.oci.image_facts import from_json
from pipeline.recipe import Borrow, Json, Recipe

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def facts(locked: Json, parent: Facts) -> Facts:
    """What the image's files told when it was resolved."""
    packages = {package["name"]: package["version"] for package in locked["packages"]}
    return from_json({**locked["facts"], "packages": packages}, parent.platform)


def contents(path: str, locked: Json, parent: Facts) -> list[dict[str, Json]]:
    """What a lock says of an image among the project's files."""
    return [{"image": path, "platform": str(parent.platform), "digest": locked["digest"]}]


def recipes(locked: Json, sources: Mapping[str, Any], parent: Facts) -> Sequence[Recipe]:
    """Its layers; `sources` says for this machine where they are. ValueError for what no lock says."""
    for layer in locked["layers"]:
        if not all(_DIGEST.fullmatch(digest) for digest in (layer["diff_id"], layer["blob"]["digest"])):
            raise ValueError("a digest that is none")
    count = len(locked["layers"])
    summary = f"{locked['reference']} {short(locked['digest'])}, {count} layer{'s' if count != 1 else ''}"
    return (Borrow(tuple(locked["layers"]), locked["config"], sources, facts(locked, parent), summary=summary),)
