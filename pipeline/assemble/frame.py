"""A layer in frames: members of one package each, compressed apart, so that a package is packed once for all layers.

A tar is its members one after the other, and zstd frames one after the other unpack to what they hold (RFC 8878,
section 3.1): a layer is the frame of its folders, those of its packages, and one with the end of the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.assemble import PACKER
from pipeline.assemble.entry import Entry
from pipeline.compression import zstd_codec
from pipeline.digest import CacheKey, cache_key
from pipeline.noun import noun

LEVEL = 3
"""zstd's level for frames."""


@noun
class Frame:
    """Members that stand together in a layer, in order; folders are the layer's business.

    `key` names everything that determines them; none for what is not worth keeping, or not determined.
    """

    key: CacheKey | None
    entries: Callable[[], Iterable[Entry]]


@noun
class Framed:
    """What a packer makes of a recipe. `folders(paths)` are the folders for the members of all frames, sorted.

    They are asked for once all frames are packed.

    Of two frames with a member at the same path the later one's stays.
    """

    frames: Iterable[Frame]
    folders: Callable[[Iterable[str]], Iterable[Entry]]


def frame_key(packer: str, inputs: Any) -> CacheKey:
    """The key of a frame that `packer` makes of `inputs` (JSON types) alone."""
    return cache_key(["frame", PACKER, zstd_codec(), LEVEL, packer, inputs])
