"""What a packer is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.digest import CacheKey
from pipeline.facts import Facts
from pipeline.noun import noun
from pipeline.recipe import Assemble

if TYPE_CHECKING:
    from pipeline.assemble.bytecode_pool import Compilers


def _own_compilers() -> Compilers:
    from pipeline.assemble.bytecode_pool import Compilers

    return Compilers()


@noun
class Work:
    """A packer's surroundings.

    The project folder, the indexes, a scratch folder on the store's file system that is removed afterwards, the facts
    of the layers below, their unpacked folders, lowest first (for recipes that need them), `say(text)` for progress,
    what the recipe's `build` made (files by their names), of `roots` those of the same entry of the manifest, the same
    with no more than the files whose path is wanted, what
    else of that entry is being made (what all of them need is fetched together), of `roots` what is on this machine
    already, whether a frame (assemble.frame) is at hand by its key, what was noted
    of a package by its key (JSON; None for nothing), and what compiles bytecode.
    """

    project: Path
    indexes: Any
    scratch: Path
    parent: Facts
    roots: Callable[[], Sequence[Path]]
    say: Callable[[str], None]
    built: Callable[[], Mapping[str, Path]] = dict
    own: Callable[[], Sequence[Path]] = tuple
    files: Callable[[Callable[[str], bool]], Sequence[Path]] | None = None
    beside: Callable[[], Sequence[Assemble]] = tuple
    here: Callable[[], Sequence[Path]] = tuple
    packed: Callable[[CacheKey], bool] = lambda _key: False
    recall: Callable[[CacheKey | None], Any] = lambda _key: None
    remember: Callable[[CacheKey | None, Any], None] = lambda _key, _value: None
    compilers: Callable[[], Compilers] = _own_compilers
