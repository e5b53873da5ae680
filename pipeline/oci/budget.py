"""How an entry is divided into OCI layers: big packages alone, small ones in groups that a change leaves as they are.

The smaller pieces are dealt out by the bits of a hash of their names (extendible hashing): a group that holds more than
it should is divided by one more bit. So a piece more, one less or a new version of one makes one group anew, divides it
or joins it with its neighbour, and leaves the others. Where there would be too many layers, the largest pieces are
alone and the largest groups are divided. Cutting the sorted names where a hash says so (content-defined chunking) was
measured, too: with as many layers a new version moves two to five times the bytes, for groups differ more in size.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.errors import AssembleError
from pipeline.manifest.model import LayerBudget
from pipeline.manifest.words import size as words
from pipeline.noun import noun
from pipeline.recipe import Assemble, Borrow, Json, Recipe

SMALL = "small"
"""The name of the group of small pieces; of several, with the bits that their hashes begin with."""


@noun
class Part:
    """One layer of an entry: its name, unique in the entry, and the names of its pieces in order."""

    name: str
    pieces: tuple[str, ...]


def divided(recipes: Sequence[Recipe], budget: LayerBudget) -> list[Recipe]:
    """An entry's recipes with those that name pieces divided into parts that each name only their own.

    The parts of the entry's first recipe are called as they are, those of others with its `part` before the name. A
    recipe of which one part would be made stays whole. Raises AssembleError for a piece that is larger than a layer
    may be.
    """
    made: list[Recipe] = []
    for number, recipe in enumerate(recipes):
        if not isinstance(recipe, Assemble) or not recipe.pieces:
            made.append(recipe)
        else:
            made += _parts(recipe, budget, f"{recipe.part}-" if number else "")
    return made


def _parts(recipe: Assemble, budget: LayerBudget, prefix: str) -> Iterator[Assemble]:
    pieces = {piece.name: piece for piece in recipe.pieces}
    sizes = {name: piece.size for name, piece in pieces.items() if not piece.apart}
    for name in (name for name, size in sizes.items() if size > budget.size):
        raise AssembleError(
            f"{name} has {words(sizes[name])}, and a layer may have {words(budget.size)}, for registries refuse more",
            remedy="divide it, or raise build.layers.size if the registry takes it",
        )
    coarse = replace(budget, own=max(budget.own, recipe.group), group=max(budget.group, recipe.group))
    found = parts(sizes, coarse)
    if len(found) == 1:
        yield replace(recipe, pieces=())
        return
    found += [Part(name, (name,)) for name, piece in pieces.items() if piece.apart]
    for part in found:
        own = _merged(pieces[name].inputs for name in part.pieces)
        yield replace(
            recipe,
            inputs={**recipe.inputs, **own},
            pieces=(),
            piece=prefix + part.name,
            summary=_summary(recipe, part),
        )


def _merged(inputs: Iterable[Mapping[str, Sequence[Json]]]) -> dict[str, list[Json]]:
    """The pieces' lists, one after the other; an item that several pieces share (a folder above) stands there once."""
    found: dict[str, dict[int, Json]] = {}
    for each in inputs:
        for name, items in each.items():
            found.setdefault(name, {}).update((id(item), item) for item in items)
    return {name: list(items.values()) for name, items in found.items()}


def _summary(recipe: Assemble, part: Part) -> str:
    """`pip, numpy` of `pip, 48 packages`, or `pip, 12 packages`."""
    noun = "files" if recipe.packer == "tree" else "packages"
    names = [name for name in part.pieces if name]
    label = names[0] if len(names) == 1 else f"{len(names)} {noun}"
    what = recipe.summary.partition(",")[0]
    return label if what.endswith((noun, noun[:-1])) else f"{what}, {label}"


def check(image: str, made: Mapping[str, Sequence[int]], borrowed: int, budget: LayerBudget) -> None:
    """Raises AssembleError for an image of too many layers, or with one that is too large.

    `made` are the sizes in bytes of the layers that each step made, by the step's name; `borrowed` layers are another
    image's, which a registry has taken already.
    """
    for name, sizes in made.items():
        if max(sizes, default=0) > budget.size:
            raise AssembleError(
                f"the layer {name} has {words(max(sizes))}, and may have {words(budget.size)}: registries refuse more",
                remedy="divide what it holds, or raise build.layers.size if the registry takes it",
            )
    entries: Counter[str] = Counter()
    for name, sizes in made.items():
        entries[name.partition("/")[0]] += len(sizes)
    check_number(image, entries, borrowed, budget)


def foreseen(recipes: Iterable[tuple[str, Recipe]]) -> tuple[dict[str, int], int]:
    """How many layers recipes, each with the name of its entry, make at least, by entry; and how many they borrow.

    Whether there is bytecode to compile shows only once it is packed.
    """
    made: Counter[str] = Counter()
    borrowed = 0
    for name, recipe in recipes:
        if isinstance(recipe, Borrow):
            borrowed += len(recipe.layers)
        elif not (isinstance(recipe, Assemble) and (recipe.mount or recipe.packer == "bytecode")):
            made[name] += 1
    return dict(made), borrowed


def check_number(image: str, entries: Mapping[str, int], borrowed: int, budget: LayerBudget) -> None:
    """Raises AssembleError for an image of too many layers: `entries` tells how many each entry makes."""
    number = borrowed + sum(entries.values())
    if number > budget.number:
        most = sorted(entries, key=lambda entry: (-entries[entry], entry))[:3]
        raise AssembleError(
            f"image {image} would have {number} layers, and may have {budget.number}; most are of "
            + ", ".join(f"{entry} ({entries[entry]})" for entry in most),
            remedy=f"lower build.layers.parts, which is {budget.parts}",
        )


def parts(sizes: Mapping[str, int], budget: LayerBudget) -> list[Part]:
    """How pieces of these sizes in bytes are divided, the layers that hardly ever change first (so lowest)."""
    big = sorted((name for name, size in sizes.items() if size >= budget.own), key=lambda name: (-sizes[name], name))
    alone = sorted(big[: max(0, budget.parts - max(1, budget.parts // 3))])
    rest = sorted(set(sizes) - set(alone))
    groups = _groups(rest, sizes, budget, max(1, budget.parts - len(alone))) if rest else {}
    named = (Part(f"{SMALL}-{bits}" if bits else SMALL, tuple(groups[bits])) for bits in sorted(groups))
    return [*(Part(_free(name), (name,)) for name in alone), *named]


def _groups(names: Sequence[str], sizes: Mapping[str, int], budget: LayerBudget, most: int) -> dict[str, list[str]]:
    """The groups by the bits that their names' hashes begin with, the larger divided first."""
    hashes = {name: f"{int.from_bytes(hashlib.sha256(name.encode()).digest()):0256b}" for name in names}
    groups = {"": list(names)}
    while True:
        bits = max(groups, key=lambda bits: (_beside(groups[bits], sizes), bits))
        # What no layer may hold is divided whatever the number then is.
        too_large = [bits for bits, group in groups.items() if sum(sizes[name] for name in group) > budget.size]
        if len(groups) >= most or _beside(groups[bits], sizes) <= budget.group // 2:
            if not too_large:
                return groups
            bits = too_large[0]
        group = groups.pop(bits)
        for longer in (bits + "0", bits + "1"):
            if inside := [name for name in group if hashes[name].startswith(longer)]:
                groups[longer] = inside


def _beside(group: Sequence[str], sizes: Mapping[str, int]) -> int:
    """What is made anew in vain when the largest piece of a group changes; dividing the group can help that alone."""
    found = [sizes[name] for name in group]
    return sum(found) - max(found)


def _free(name: str) -> str:
    """A piece's name as a part's: none that a group could have."""
    return f"package-{name}" if name.startswith(SMALL) else name
