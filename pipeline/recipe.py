"""What a base or layer kind returns: how OCI layers come about, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from pipeline.facts import Facts
from pipeline.noun import noun

Json = Any
Compression = Literal["zstd", "none"]


@noun
class Piece:
    """One package or file of a recipe that may be divided: its name, about its size in bytes in a registry, and what is
    its own in lists of the recipe's inputs. One that is `apart` tells of all others: it has a layer where they have
    several.
    """

    name: str
    size: int
    inputs: Mapping[str, Sequence[Json]]
    apart: bool = False


@noun
class Assemble:
    """One layer packed in-process by the packer `pipeline.assemble.PACKER`.

    `inputs` (JSON types) is all that determines the layer's bytes, and is what its cache key is made of; `sources`
    tells this machine where to find the inputs and never enters the key. `part` tells layers of one entry apart.
    `needs_root` says that the packer reads the unpacked file system of the layers below; without `root_decides` what it
    takes from there is named in `inputs` (the version of a program that it runs), so another base makes the same bytes.
    `build` makes what is packed: a command whose container is thrown away; it brings the keys of all layers below into
    this one's.

    `pieces` are what may stand in layers apart (oci.budget), those below `group` bytes in groups of about that size
    where the manifest allows smaller ones; `piece` names such a layer.

    With `mount`, an absolute path, the layer is no part of the image: a target provides what it has there.
    """

    packer: str
    inputs: Mapping[str, Json]
    sources: Mapping[str, Json] = field(default_factory=dict)
    part: str = ""
    compression: Compression = "zstd"
    needs_root: bool = False
    root_decides: bool = True
    summary: str = ""
    build: Execute | None = None
    pieces: tuple[Piece, ...] = ()
    piece: str = ""
    group: int = 0
    mount: str = ""


@noun
class Execute:
    """One layer that is what a command changes in a container made from the layers below; needs an engine.

    `argv`, `env`, `user`, `workdir` and `inputs` (JSON types: all else that determines the change) are what the key is
    made of, with the keys of the layers below. The rest says how to run it here and never enters the key: `secrets`
    (name → text) become files under /run/secrets, `caches` are folders kept outside the image, `network` is host, none,
    default, or empty for what the manifest's `build` says. `timeout` is in seconds and `memory` in bytes, 0 without a
    limit. `sources` tells this machine where to find files that `inputs` name and the command is to see
    (stages.provisions).
    """

    argv: tuple[str, ...]
    inputs: Mapping[str, Json]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    caches: tuple[str, ...] = ()
    sources: Mapping[str, Json] = field(default_factory=dict)
    network: str = ""
    timeout: float = 0.0
    memory: int = 0
    cpus: float = 0.0
    part: str = ""
    summary: str = ""


@noun
class Borrow:
    """Layers that exist already, as an image from elsewhere has them, lowest first; nothing is made.

    `layers` are oci.descriptor.Layer.to_json(), `config` the image config's own `config` property (OCI config.md):
    images on top inherit its Env, User, WorkingDir, Entrypoint and Cmd. `sources` tells this machine where to find the
    layers and never enters the key; `facts`, which the files told when they were read, do not either.
    """

    layers: tuple[Mapping[str, Json], ...]
    config: Mapping[str, Json] = field(default_factory=dict)
    sources: Mapping[str, Json] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    part: str = ""
    summary: str = ""


Recipe = Assemble | Execute | Borrow
