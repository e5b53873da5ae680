"""What a base or layer kind returns: how one OCI layer comes about, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any
Compression = Literal["zstd", "none"]


@dataclass(frozen=True, slots=True)
class Assemble:
    """One layer packed in-process by the packer `pipeline.assemble.PACKER`.

    `inputs` (JSON types) is all that determines the layer's bytes, and is what its cache key is made of; `sources` tells
    this machine where to find the inputs and never enters the key. `part` tells several layers of one entry apart.
    `needs_root` says that the packer reads the unpacked file system of the layers below.
    """

    packer: str
    inputs: Mapping[str, Json]
    sources: Mapping[str, Json] = field(default_factory=dict)
    part: str = ""
    compression: Compression = "zstd"
    needs_root: bool = False
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Execute:
    """One layer that is what `commands` change in a container made from the layers below; needs an engine."""

    commands: tuple[tuple[str, ...], ...]
    inputs: Mapping[str, Json]
    part: str = ""
    summary: str = ""


Recipe = Assemble | Execute
