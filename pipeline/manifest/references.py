"""Checks what a schema cannot: names that refer to other entries, duplicates and cycles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import kinds
from pipeline.manifest import azure
from pipeline.manifest.build import seconds
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_
from pipeline.manifest.words import shown, suggestion

Section = Mapping[str, Any]


def check(data: Mapping[str, Any]) -> Iterator[Finding]:
    """The findings of data whose form may be wrong as well: what has not the right form is passed by."""
    bases, layers, images = (_section(data, name) for name in ("bases", "layers", "images"))
    for name, image in images.items():
        if name in bases:
            message = f"'{name}' names both a base and an image"
            yield Finding(("images", name), message, "rename one of them", at_key=True)
        if isinstance(image, dict):
            yield from _base(("images", name), image.get("base"), bases, images)
            yield from _layers(("images", name, "layers"), image.get("layers"), layers)
            yield from _distinct(("images", name), image, ("tags", "platforms"))
    registries = _section(data, "registries")
    yield from _pushes(images, registries)
    if isinstance(to := _section(data, "cache").get("registry"), str) and to not in registries:
        yield _unknown_registry(("cache", "registry"), to, registries)
    for name, base in bases.items():
        spec = base.get("image") if isinstance(base, dict) else None
        if isinstance(spec, dict) and isinstance(to := spec.get("registry"), str) and to not in registries:
            yield _unknown_registry(("bases", name, "image", "registry"), to, registries)
    yield from _cycles(images)
    yield from _targets(_section(data, "targets"), images, layers)
    yield from azure.check(data, seconds)


def _section(data: Mapping[str, Any], name: str) -> Section:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _base(path: Path_, base: Any, bases: Section, images: Section) -> Iterator[Finding]:
    if isinstance(base, str) and base not in bases and base not in images:
        others = [*bases, *(name for name in images if name != path[-1])]
        remedy = suggestion(base, others, "there are") or "add it under 'bases'"
        yield Finding((*path, "base"), f"unknown base {shown(base)}", remedy)


def _layers(path: Path_, names: Any, layers: Section) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if not isinstance(name, str):
            continue
        if name not in layers:
            remedy = suggestion(name, layers, "there are") or "add it under 'layers'"
            yield Finding((*path, index), f"unknown layer {shown(name)}", remedy)
        elif name in seen:
            yield Finding((*path, index), f"the layer {shown(name)} is listed twice", "remove one of them")
        seen.add(name)


def _distinct(path: Path_, image: Section, keys: tuple[str, ...]) -> Iterator[Finding]:
    for key in keys:
        seen: set[str] = set()
        values = image.get(key)
        for index, value in enumerate(values if isinstance(values, list) else ()):
            if isinstance(value, str) and value in seen:
                yield Finding((*path, key, index), f"{shown(value)} is listed twice", "remove one of them")
            elif isinstance(value, str):
                seen.add(value)


def _pushes(images: Section, registries: Section) -> Iterator[Finding]:
    """Registries that are not there, and images that would take each other's tags."""
    taken: dict[tuple[str, str, str], str] = {}
    for name, image in images.items():
        push = image.get("push") if isinstance(image, dict) else None
        if not isinstance(push, dict) or not isinstance(to := push.get("to"), str):
            continue
        if to not in registries:
            yield _unknown_registry(("images", name, "push", "to"), to, registries)
        yield from _distinct(("images", name, "push"), push, ("tags",))
        repository = push.get("repository", name)
        tags = push.get("tags") or image.get("tags") or ["latest"]
        for tag in tags if isinstance(tags, list) and isinstance(repository, str) else ():
            if isinstance(tag, str) and (other := taken.setdefault((to, repository, tag), name)) != name:
                message = f"the images '{other}' and '{name}' are both pushed as {shown(f'{repository}:{tag}')}"
                yield Finding(("images", name, "push"), message, "give one of them another repository or tag")


def _unknown_registry(path: Path_, name: str, registries: Section) -> Finding:
    remedy = suggestion(name, registries, "there are") or "add it under 'registries'"
    return Finding(path, f"unknown registry {shown(name)}", remedy)


def _cycles(images: Section) -> Iterator[Finding]:
    """Each image has one base, so a cycle is found by following it; each cycle is told once."""
    done: set[str] = set()
    for start in images:
        trail: dict[str, int] = {}
        name: Any = start
        while isinstance(name, str) and name in images and name not in done:
            if name in trail:
                cycle = [*list(trail)[trail[name] :], name]
                message = "these images are built on each other: " + " -> ".join(cycle)
                yield Finding(("images", name, "base"), message, "give one of them a base from 'bases'")
                break
            trail[name] = len(trail)
            image = images[name]
            name = image.get("base") if isinstance(image, dict) else None
        done.update(trail)


def _targets(targets: Section, images: Section, layers: Section) -> Iterator[Finding]:
    for name, target in targets.items():
        for kind, settings in target.items() if isinstance(target, dict) else ():
            image = settings.get("image") if isinstance(settings, dict) else None
            if isinstance(image, str) and image not in images:
                remedy = suggestion(image, images, "there are")
                yield Finding(("targets", name, kind, "image"), f"unknown image {shown(image)}", remedy)
            elif isinstance(image, str) and kinds.is_remote(str(kind)):
                yield from _elsewhere(("targets", name, kind, "image"), images[image], image, str(kind), layers)


def _elsewhere(path: Path_, image: Any, name: str, kind: str, layers: Section) -> Iterator[Finding]:
    """What a service that runs elsewhere needs of its image: a registry to have it from, with all that is in it."""
    if not isinstance(image, dict):
        return
    if "push" not in image:
        message = f"{_a(kind)} target gets its image from a registry, and the image '{name}' is pushed to none"
        yield Finding(path, message, f"add images.{name}.push: {{to: REGISTRY}}")
    for layer in () if kinds.mounts(kind) else image.get("layers") or ():
        entry = layers.get(layer) if isinstance(layer, str) else None
        model = entry.get("model") if isinstance(entry, dict) else None
        if isinstance(model, dict) and model.get("mount") is True:
            message = f"{_a(kind)} target cannot mount the model of the layer '{layer}', which the image does not hold"
            yield Finding(path, message, f"take 'mount' out of layers.{layer}.model")


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
