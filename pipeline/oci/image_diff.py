"""What tells two images apart: their layers, packages, settings and files. Pure: what they hold is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, Protocol

from pipeline.noun import noun
from pipeline.oci.descriptor import Layer

How = Literal["added", "removed", "changed"]
Packages = Mapping[tuple[str, str], str]
"""Versions by (world, name), the world being apt, pip or conda; of several installations, joined."""


class File(Protocol):
    """A member of an image as a container sees it; `layer` counts from 1."""

    @property
    def type(self) -> str: ...
    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def link(self) -> str: ...
    @property
    def layer(self) -> int: ...


@noun
class LayerChange:
    """A layer that only one image has, or `changed` where both have one made by the same words. Sizes in bytes as in a
    registry; the counts are of files that it brings to the new image, or brought to the old one.
    """

    how: How
    name: str
    old: str = ""
    new: str = ""
    old_size: int = 0
    new_size: int = 0
    files_added: int = 0
    files_removed: int = 0
    files_changed: int = 0


@noun
class Change:
    """Something by its name with its old and new text, empty where it is not there; `world` of a package."""

    name: str
    old: str
    new: str
    world: str = ""

    @property
    def how(self) -> How:
        return "changed" if self.old and self.new else "added" if self.new else "removed"


@noun
class FileChange:
    """A file, link or folder that differs; `what` are the parts that do: content, type, mode, owner, link."""

    path: str
    how: How
    old_size: int = 0
    new_size: int = 0
    what: tuple[str, ...] = ()
    old_layer: int = 0
    new_layer: int = 0


@noun
class ImageDiff:
    """The difference of two images. `shared` are the digests of layers that both have, `shared_size` their bytes."""

    old: str
    new: str
    old_digest: str
    new_digest: str
    shared: tuple[str, ...]
    shared_size: int
    layers: tuple[LayerChange, ...]
    packages: tuple[Change, ...]
    settings: tuple[Change, ...]
    files: tuple[FileChange, ...]

    @property
    def new_size(self) -> int:
        """The bytes that a registry or machine with the old image lacks of the new one."""
        return sum(layer.new_size for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "new_size": self.new_size}


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    """What differs of two mappings of texts, by name."""
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return tuple(Change(name, old.get(name, ""), new.get(name, "")) for name in names)


def packages(old: Packages, new: Packages) -> tuple[Change, ...]:
    """The packages that differ, by world and name."""
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return tuple(Change(name, old.get((world, name), ""), new.get((world, name), ""), world) for world, name in keys)


def settings(config: Mapping[str, Any]) -> dict[str, str]:
    """An image config's own `config` property (OCI config.md) as texts, each variable and label by its name."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if key == "Env":
            found |= {f"env {name}": text for name, _, text in (pair.partition("=") for pair in value or ())}
        elif key == "Labels":
            found |= {f"label {name}": str(text) for name, text in (value or {}).items()}
        elif isinstance(value, Mapping):
            found[key] = " ".join(sorted(value))
        else:
            found[key] = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    return {name: text for name, text in found.items() if text}


def files(old: Mapping[str, File], new: Mapping[str, File], same: Callable[[str], bool]) -> Iterator[FileChange]:
    """The files that differ, by path; of folders only those that both have. `same(path)` compares the content of two
    regular files of the same size.
    """
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before is None and after is not None and after.type != "dir":
            yield FileChange(path, "added", new_size=after.size, new_layer=after.layer)
        elif after is None and before is not None and before.type != "dir":
            yield FileChange(path, "removed", old_size=before.size, old_layer=before.layer)
        elif before is not None and after is not None and (what := tuple(_differs(path, before, after, same))):
            yield FileChange(path, "changed", before.size, after.size, what, before.layer, after.layer)


def _differs(path: str, old: File, new: File, same: Callable[[str], bool]) -> Iterator[str]:
    if old.type != new.type:
        yield "type"
        return
    if old.type == "file" and (old.size != new.size or not same(path)):
        yield "content"
    if old.type != "symlink" and old.mode != new.mode:
        yield "mode"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield "owner"
    if old.link != new.link:
        yield "link"


def layers(old: Sequence[Layer], new: Sequence[Layer], files: Sequence[FileChange]) -> Iterator[LayerChange]:
    """The layers that are not in both images, as the new image has them, then those that are gone."""
    there = {layer.diff_id for layer in old} & {layer.diff_id for layer in new}
    gone = [(number, layer) for number, layer in enumerate(old, 1) if layer.diff_id not in there]
    for number, layer in enumerate(new, 1):
        if layer.diff_id in there:
            continue
        name = maker(layer.created_by)
        former = next((each for each in gone if name and maker(each[1].created_by) == name), None)
        if former:
            gone.remove(former)
        yield _layer(name, former, (number, layer), files)
    for left in gone:
        yield _layer(maker(left[1].created_by), left, None, files)


def _layer(
    name: str, old: tuple[int, Layer] | None, new: tuple[int, Layer] | None, files: Sequence[FileChange]
) -> LayerChange:
    def count(how: How) -> int:
        side, at = (old, "old_layer") if how == "removed" else (new, "new_layer")
        return sum(one.how == how and getattr(one, at) == side[0] for one in files) if side else 0

    return LayerChange(
        "changed" if old and new else "added" if new else "removed",
        name,
        old[1].blob.digest if old else "",
        new[1].blob.digest if new else "",
        old[1].blob.size if old else 0,
        new[1].blob.size if new else 0,
        count("added"),
        count("removed"),
        count("changed"),
    )


def maker(created_by: str) -> str:
    """What made a layer, from its history: `layer science/numpy` of our own words, else the command as it is."""
    ours = created_by.removeprefix("pipeline: ")
    return ours.partition(",")[0] if ours != created_by else created_by
