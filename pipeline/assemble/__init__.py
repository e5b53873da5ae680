"""Packers: packages and files as streams of entries, and the writer that makes deterministic layers of them.

A packer is a module here with `entries(recipe, work) -> Iterator[Entry]`, named by `Assemble.packer`.
"""

PACKER = "1"
"""Enters every assembled layer's key: raised whenever the same inputs would give other bytes."""
