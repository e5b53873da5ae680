"""Packers: packages and files as streams of entries, and the writer that makes deterministic layers of them.

A packer is a module here, named by `Assemble.packer`, with `entries(recipe, work) -> Iterator[Entry]`; or, where what
it packs is worth keeping by package, with `frames(recipe, work) -> Framed` (assemble.frame).
"""

PACKER = "2"
"""Enters every assembled layer's key: raised whenever the same inputs would give other bytes."""
