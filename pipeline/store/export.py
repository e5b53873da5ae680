"""Writes an image out of the store: as an OCI image layout, in a folder or a tar, or as a `docker save` archive."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.errors import StoreError, UsageError
from pipeline.facts import Platform
from pipeline.manifest.words import suggestion
from pipeline.oci import layout
from pipeline.reference import Reference, parse, repository
from pipeline.store import Store
from pipeline.store.archive import Archive, is_ours, write_docker, write_oci
from pipeline.store.layout_folder import LayoutFolder
from pipeline.store.lookup import Found, ImageDocuments, choose, documents, find

Format = Literal["oci", "oci-archive", "docker-archive"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: where, in which format, under which name; `digest` of the image manifest or index in it, the
    image ID (config digest) of each platform, and `size`, the bytes written.
    """

    path: str
    format: Format
    reference: str
    digest: str
    image_ids: dict[str, str]
    size: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export(
    store: Store,
    name: str,
    destination: Path,
    *,
    format: Format | None = None,
    tag: str = "",
    platform: Platform | None = None,
    machine: Platform | None = None,
    force: bool = False,
) -> Exported:
    """Writes the image `name` (IMAGE, IMAGE:TAG, a digest or an image ID) to `destination`.

    Without a `format`, a destination named *.tar becomes a `docker save` archive that is a valid OCI layout as well,
    any other a layout folder. `tag`, as TAG or NAME:TAG, names the image in what is written. An image of several
    platforms goes whole into the OCI formats; a Docker archive takes `platform`, else the `machine`'s.

    Nothing is there before it is whole. Raises UsageError for an unknown image, and for a destination that exists and
    is no earlier export, unless `force` is given; StoreError when the image is damaged or the disk cannot be written.
    """
    chosen = _format(format, destination)
    found = find(store, name)
    reference = _reference(found, tag)
    _check_destination(destination, chosen, reference, force)
    try:
        if chosen == "docker-archive":
            parts = [choose(store, found, platform, machine)]
        else:
            parts = [choose(store, found, platform)] if platform else documents(store, found.image)
        return _written(store, found, parts, destination, chosen, reference, whole=platform is None)
    except OSError as error:
        raise StoreError(
            f"cannot write {destination}: {error.strerror or error}", remedy="check the disk's space and permissions"
        ) from error


def _written(
    store: Store,
    found: Found,
    parts: list[ImageDocuments],
    destination: Path,
    chosen: Format,
    reference: Reference,
    whole: bool,
) -> Exported:
    image = found.image if whole else parts[0].descriptor
    ids = {str(part.platform): str(part.config_blob.digest) for part in parts}
    destination.parent.mkdir(parents=True, exist_ok=True)
    if chosen == "oci":
        folder = LayoutFolder(destination)
        size = folder.add(store, parts, image, layout.named(image, reference))
    else:
        with _staged(destination) as scratch, scratch.open("wb") as file:
            archive = Archive(file)
            if chosen == "docker-archive":
                image = write_docker(archive, store, parts[0], reference)
            else:
                write_oci(archive, store, parts, image, reference)
            size = archive.close()
    return Exported(str(destination), chosen, layout.familiar(reference), image.digest, ids, size)


def _format(asked: Format | None, destination: Path) -> Format:
    if asked is not None:
        if asked not in FORMATS:
            raise UsageError(f"{asked!r} is not a format", remedy=suggestion(asked, FORMATS, "formats"))
        return asked
    if destination.suffix in (".gz", ".tgz", ".zst", ".xz", ".bz2", ".zip"):
        raise UsageError(f"{destination.name}: archives are not compressed as a whole", remedy="name it *.tar")
    return "docker-archive" if destination.suffix == ".tar" and not destination.is_dir() else "oci"


def _reference(found: Found, asked: str) -> Reference:
    """The name under which the image is written: its own, or what was asked for."""
    if ":" in asked.rpartition("/")[2]:
        return parse(asked)
    name, tag = (asked, "") if "/" in asked else (found.name, asked)
    return repository(name or "image").at(tag=tag or found.tag or "latest")


def _check_destination(destination: Path, chosen: Format, reference: Reference, force: bool) -> None:
    """Refuses what would overwrite anything but an earlier export."""
    if chosen == "oci":
        LayoutFolder(destination).check(reference, force)
    elif destination.is_dir():
        raise UsageError(f"{destination} is a folder", remedy="name a file for an archive, or take --format oci")
    elif destination.exists() and not force and not is_ours(destination):
        raise UsageError(f"{destination} exists and is no earlier export", remedy="take another name, or --force")


@contextmanager
def _staged(destination: Path) -> Iterator[Path]:
    """A path beside `destination` that takes its place when the block ends without an error."""
    scratch = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.partial")
    try:
        yield scratch
        scratch.replace(destination)
    finally:
        scratch.unlink(missing_ok=True)
