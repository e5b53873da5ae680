"""A manifest's image as Azure ML's files: what is exported, and which parts of it the project's own files are."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import UsageError
from pipeline.manifest.model import Entry, Image, Manifest, Secret
from pipeline.noun import noun


@noun
class Subject:
    """What is exported: an image of a manifest, and where it runs. `reference` is the image that was built, by its
    digest where it is known; empty where there is none yet.
    """

    manifest: Manifest
    image: Image
    reference: str = ""
    target: Entry | None = None

    @property
    def name(self) -> str:
        """Of the service: 3 to 32 letters, digits and dashes, as Azure ML has them."""
        target = self.target.name if self.target else self.image.name
        text = target if target == self.manifest.name else f"{self.manifest.name}-{target}"
        name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        name = name if name[:1].isalpha() else f"s-{name}"
        return name[:32].strip("-").ljust(3, "x")


@noun
class Exported:
    """Files by name, and what is not in them."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


@noun
class Code:
    """The entry script in the project: `script` below the folder `source`, which is relative to the manifest."""

    source: str
    script: str


@noun
class Model:
    """A model layer: `path` is relative to the manifest; `bare` says that its folder's name is not in the image."""

    name: str
    version: int
    path: str
    bare: bool = False


def layers_of(subject: Subject) -> Iterator[Entry]:
    """The layers, lowest first, those of images below included."""
    image = subject.image
    if image.base in subject.manifest.images:
        yield from layers_of(Subject(subject.manifest, subject.manifest.images[image.base]))
    yield from (subject.manifest.layers[name] for name in image.layers if name in subject.manifest.layers)


def models_of(subject: Subject) -> list[Model]:
    """The models in the image."""
    specs = [layer.spec for layer in layers_of(subject) if layer.kind == "model"]
    return [
        Model(spec["name"], int(spec.get("version", 1)), spec["path"].rstrip("/"), spec["path"].endswith("/"))
        for spec in specs
    ]


def code_of(subject: Subject) -> Code | None:
    """Where the entry script is in the project; None where no `files` layer brings it."""
    serve = subject.image.serve
    if serve is None:
        return None
    wanted = posixpath.normpath(posixpath.join(serve.app_root, serve.entry_script))
    for layer in reversed([*layers_of(subject)]):
        if layer.kind == "files":
            for item in reversed(layer.spec):
                if found := _source(item["from"], item["to"], wanted):
                    return found
    return None


def _source(origin: str, to: str, wanted: str) -> Code | None:
    """The file that an item of a `files` layer puts at `wanted`."""
    if any(character in origin for character in "*?["):
        folder = posixpath.normpath(to)
        return Code(posixpath.dirname(origin) or ".", posixpath.basename(wanted)) if _below(wanted, folder) else None
    if origin.endswith(".py"):
        place = posixpath.join(to, posixpath.basename(origin)) if to.endswith("/") else posixpath.normpath(to)
        return Code(posixpath.dirname(origin) or ".", posixpath.basename(origin)) if place == wanted else None
    rest = _below(wanted, posixpath.normpath(to))
    return Code(origin.rstrip("/") or ".", rest) if rest else None


def _below(path: str, folder: str) -> str:
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else ""


def plain_env(env: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    """Variables without those that are secret, which go into the notes."""
    secret = [name for name, value in env.items() if isinstance(value, Secret)]
    if secret:
        notes.append(f"secrets are left out, set them when you deploy: {', '.join(sorted(secret))}")
    return {name: str(value) for name, value in env.items() if name not in secret}


def chosen(manifest: Manifest, image: str = "", target: str = "") -> tuple[Image, Entry | None]:
    """The image and the target that are meant. UsageError where the words leave a choice, or name nothing."""
    from pipeline.manifest.words import listed, suggestion

    if target:
        if target not in manifest.targets:
            known = suggestion(target, manifest.targets, "there are")
            raise UsageError(f"{manifest.path.name} has no target '{target}'", remedy=known)
        entry = manifest.targets[target]
        return manifest.images[entry.spec["image"]], entry
    if image and image not in manifest.images:
        known = suggestion(image, manifest.images, "there are")
        raise UsageError(f"{manifest.path.name} has no image '{image}'", remedy=known)
    fitting = [entry for entry in manifest.targets.values() if image in ("", entry.spec["image"])]
    if len(fitting) > 1:
        names = listed(entry.name for entry in fitting)
        raise UsageError(f"there are {len(fitting)} targets: {names}", remedy="choose one by --target")
    if fitting:
        return manifest.images[fitting[0].spec["image"]], fitting[0]
    if not image and len(manifest.images) > 1:
        raise UsageError(
            f"there are {len(manifest.images)} images: {listed(manifest.images)}", remedy="choose one by --image"
        )
    return manifest.images[image] if image else next(iter(manifest.images.values())), None


__all__ = ["Code", "Exported", "Model", "Subject", "chosen", "code_of", "layers_of", "models_of", "plain_env"]
