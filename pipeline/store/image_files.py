"""An image's files by path and by glob, read from its layers in the store: only layers that must be, each once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from pipeline.errors import UsageError
from pipeline.oci.descriptor import Layer
from pipeline.store import Store
from pipeline.store.globs import expression
from pipeline.store.members import Member, contents, folders_of, lookup, members, merged

LARGEST = 64 << 20
"""Files of more bytes than this are taken for absent."""
_KEPT = 4 << 20
_ELF = b"\x7fELF"


class ImageFiles:
    """`together` are globs of files that are wanted sooner or later: they are read in the same pass as the first."""

    def __init__(self, store: Store, layers: Sequence[Layer], together: Sequence[str] = ()) -> None:
        self._store = store
        self._layers = layers
        self._together = together
        self._read: dict[int, dict[str, bytes]] = {}

    @cached_property
    def _tree(self) -> dict[str, Member]:
        return merged(members(self._store, layer, number) for number, layer in enumerate(self._layers, 1))

    @cached_property
    def _folders(self) -> set[str]:
        return folders_of(self._tree)

    def _member(self, path: str) -> Member | None:
        try:
            return lookup(self._tree, path, self._folders)
        except UsageError:
            return None

    @cached_property
    def _wanted(self) -> set[str]:
        return {path.lstrip("/") for pattern in self._together for path in self.glob(pattern)}

    def read(self, path: str) -> bytes | None:
        """A file's content, links followed; None when it is not there."""
        member = self._member(path)
        if member is None or member.type not in ("file", "hardlink") or member.size > LARGEST:
            return None
        name = member.link.strip("/") if member.type == "hardlink" else member.path
        layer = self._layers[member.layer - 1]
        known = self._read.get(member.layer)
        if known is None:
            known = self._read[member.layer] = self._store.files(layer)
        if name not in known:
            also = {
                each for each in self._wanted if (m := self._tree[each]).layer == member.layer and m.size <= LARGEST
            }
            known |= contents(self._store, layer, {name, *also})
            self._keep(layer, known)
        return known.get(name)

    def _keep(self, layer: Layer, files: Mapping[str, bytes]) -> None:
        """Texts are asked for with each new image on a layer: its blob is read for them once."""
        texts = {name: data for name, data in files.items() if len(data) <= _KEPT and not data.startswith(_ELF)}
        self._store.put_files(layer, texts)

    def real(self, path: str) -> str:
        """The path of the file that `path` leads to once every link in it is followed; empty for none."""
        member = self._member(path)
        return f"/{member.path}" if member is not None and member.type in ("file", "hardlink") else ""

    def glob(self, pattern: str) -> list[str]:
        """The files and links that fit an absolute pattern, sorted; `*` stays in a folder, `**/` is any folders."""
        plain = pattern.lstrip("/")
        compiled = re.compile(expression(plain), re.DOTALL)
        # What stands between wildcards is looked for first: that is 20 times as fast.
        literal = max(re.split(r"[*?]+/?|\[[^\]]*\]", plain), key=len)
        found = (path for path, member in self._tree.items() if literal in path and member.type != "dir")
        return sorted(f"/{path}" for path in found if compiled.fullmatch(path))
