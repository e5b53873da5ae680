"""An image as a picture of its layers' sizes: pieces of a strip, those of one entry side by side. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.events import entry_of
from pipeline.noun import noun
from pipeline.serve.drawing import strip
from pipeline.serve.views_model_images import LayerView

_KINDS = ("base", "layer")
_WIDEST, _CHARACTER = 1090, 7.7
"""Pixels: of the strip, and of a character of a piece's name."""


@noun
class Piece:
    """A layer in the strip: its short name, and where it is, in hundredths of its block."""

    layer: LayerView
    name: str
    x: float
    width: float
    part: float
    """Of the whole strip, in hundredths."""

    @property
    def room(self) -> int:
        """Characters that fit into it, where the strip is as wide as the page can be."""
        return int((self.part / 100 * _WIDEST - 16) / _CHARACTER)


@noun
class Block:
    """Layers of one entry, the lowest first: `base slim`, or what came with a base from elsewhere. Where it is, in
    hundredths of the strip, and its bytes.
    """

    name: str
    size: int
    x: float
    width: float
    pieces: tuple[Piece, ...]


def blocks(layers: Sequence[LayerView]) -> tuple[Block, ...]:
    """The whole strip, from the lowest layer on the left to the last."""
    spots = dict(zip((layer.number for layer in layers), strip([layer.size for layer in layers]), strict=True))
    return tuple(
        _block(name, list(own), {number: (x / 10, width / 10) for number, (x, width) in spots.items()})
        for name, own in groupby(layers, key=lambda layer: _named(layer)[0])
    )


def _block(name: str, layers: Sequence[LayerView], spots: dict[int, tuple[float, float]]) -> Block:
    begin = spots[layers[0].number][0]
    width = max(0.01, sum(spots[layer.number][1] for layer in layers))
    pieces = tuple(
        Piece(
            layer,
            _named(layer)[1],
            round(100 * (spots[layer.number][0] - begin) / width, 2),
            round(100 * spots[layer.number][1] / width, 2),
            spots[layer.number][1],
        )
        for layer in layers
    )
    return Block(name, sum(layer.size for layer in layers), round(begin, 2), round(width, 2), pieces)


def _named(layer: LayerView) -> tuple[str, str]:
    """The entry that a layer is of, and its own name: (layer science, scipy) of `layer science/scipy, pip, scipy`."""
    kind, _, name = layer.words.partition(",")[0].partition(" ")
    if kind not in _KINDS or not name:
        return "base", ""
    return entry_of(kind, name), name.partition("/")[2].partition("@")[0] or name.partition("@")[0]


__all__ = ["Block", "Piece", "blocks"]
