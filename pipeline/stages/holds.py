"""What an image of the store really holds of what manifests may require, and where a table of it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.noun import noun
from pipeline.oci.requires import found_of, is_told
from pipeline.oci.requires_find import READ, Evidence, Found
from pipeline.store import Store
from pipeline.store.image_files import ImageFiles
from pipeline.store.lookup import ImageDocuments

NAMES = ("os", "python", "conda", "mpi", "cuda", "cudnn", "nccl", "git", "fuse")


@noun
class Held:
    """What an image holds: for each name of NAMES what was found, with the files that tell; its ports and its user."""

    found: Mapping[str, tuple[Found, ...]]
    ports: tuple[str, ...]
    user: str

    def to_json(self) -> dict[str, Any]:
        rows = {
            name: [{"name": one.name, "version": one.version, "file": one.file} for one in many]
            for name, many in self.found.items()
        }
        return {"holds": rows, "ports": list(self.ports), "user": self.user}


def held(store: Store, image: ImageDocuments) -> Held:
    """Reads the image's package databases, headers and names of libraries; layers are read as far as that takes.

    Raises StoreError for a layer that cannot be had.
    """
    for layer in image.layers:
        if not store.knows(layer):
            store.describe(layer)
    evidence = Evidence(ImageFiles(store, image.layers, READ))
    config = image.config.get("config") or {}
    found = {name: tuple(found_of(name, evidence)) for name in NAMES}
    return Held(found, tuple(config.get("ExposedPorts") or ()), config.get("User") or "")


def differences(claimed: Mapping[str, str | bool], found: Held) -> list[str]:
    """What a table says otherwise than the image: one line for each name."""
    lines = []
    for name, said in claimed.items():
        there = found.found.get(name, ())
        if not is_told(name, said, there):
            shown = ", ".join(f"{one.name} {one.version}".strip() for one in there)
            lines.append(f"{name}: the table says {'any' if said is True else said}, the image has {shown or 'none'}")
    return lines
