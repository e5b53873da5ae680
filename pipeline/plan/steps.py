"""From resolved images to steps: which there are, what each needs, and what enters its cache key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.digest import CacheKey, cache_key
from pipeline.facts import Facts
from pipeline.kinds import is_remote
from pipeline.manifest.model import Entry, Image, Manifest
from pipeline.manifest.words import exact_size
from pipeline.plan import volumes
from pipeline.plan.inputs import config_inputs, flat, key_material, plain, recipe_inputs, short_text, texts
from pipeline.plan.model import (
    CheckWork,
    ImageWork,
    LayerWork,
    PushWork,
    ResolvedEntry,
    ResolvedImage,
    Step,
    StepKind,
    StepWork,
    TagWork,
    TargetWork,
)
from pipeline.plan.runtime import runtime
from pipeline.plan.why import entry
from pipeline.recipe import Assemble, Borrow, Execute, Recipe
from pipeline.reference import below


def steps_of(manifest: Manifest, images: Sequence[ResolvedImage]) -> tuple[Step, ...]:
    """Every step of a manifest, sections in the order base, layer, image, push, check, tag, target."""
    maker = _Maker(manifest, several_platforms=len({image.platform for image in images}) > 1)
    by_image: dict[str, list[tuple[ResolvedImage, tuple[str, ...]]]] = {}
    for image in images:
        by_image.setdefault(image.image.name, []).append((image, maker.stack(image)))
    for group in by_image.values():
        maker.image(group)
    for group in by_image.values():
        maker.push(group[0][0].image, manifest)
        maker.volumes_of(group, manifest)
    deadlines = _deadlines(manifest)
    for group in by_image.values():
        maker.check(group[0][0], deadlines.get(group[0][0].image.name, 60.0))
    # One tuple for all tags: many images have many checks.
    checks = tuple(step.id for step in maker.steps.values() if step.kind in ("push", "check"))
    for group in by_image.values():
        for one in (group[0][0].image, *maker.volumes.get(group[0][0].image.name, {}).values()):
            maker.tag(one, checks)
    for target in manifest.targets.values():
        if target.spec["image"] in by_image:
            maker.target(target, manifest.images[target.spec["image"]], manifest)
    order: list[StepKind] = ["base", "layer", "image", "push", "check", "tag", "target"]
    return tuple(sorted(maker.steps.values(), key=lambda step: order.index(step.kind)))


class _Maker:
    """Collects steps; the same layer wanted by several images becomes one step."""

    def __init__(self, manifest: Manifest, several_platforms: bool) -> None:
        self.steps: dict[str, Step] = {}
        self._mounts: dict[str, dict[str, volumes.Mounted]] = {}
        self._volumes = volumes.Volumes(manifest)
        self.volumes: dict[str, dict[str, Image]] = {}
        self._told_of: dict[int, Mapping[str, str]] = {}
        self._keys: dict[tuple[StepKind, int, tuple[CacheKey, ...]], CacheKey] = {}
        self._several = several_platforms

    def _add(self, step: Step, *below: str) -> str:
        """A step of the same name but another key (the layer on another base) gets the name of what it is on, too."""
        for suffix in ("", *(f" on {name}" for name in below)):
            named = replace(step, id=step.id + suffix, name=step.name + suffix)
            if self.steps.setdefault(named.id, named).key == step.key:
                return named.id
        raise AssertionError(f"two steps are called {step.id}")

    def stack(self, resolved: ResolvedImage) -> tuple[str, ...]:
        """The steps of an image's layers on one platform, lowest first."""
        made: list[str] = []
        roots: list[str] = []
        for item in resolved.stack:
            for number, recipe in enumerate(item.recipes):
                below = _below(recipe, made, roots)
                facts = item.facts if number and recipe.part else item.parent
                id_ = self._layer(item, recipe, facts, below, resolved)
                if isinstance(recipe, Assemble) and recipe.mount:
                    self._mount(id_, volumes.Mounted(item, recipe, resolved))
                    continue
                made.append(id_)
                if item.section == "bases" or item.facts != item.parent or isinstance(recipe, Execute):
                    roots += [made[-1]] if not recipe.part else []
        return tuple(made)

    def _mount(self, id_: str, mounted: volumes.Mounted) -> None:
        """Notes a layer that targets provide; on every platform it is the same."""
        known = self._mounts.setdefault(mounted.resolved.image.name, {})
        if self.steps[id_].key not in {self.steps[one].key for one in known}:
            known[id_] = mounted

    def _mounted(self, image: str) -> dict[str, CacheKey]:
        """The steps of the layers that an image is given and does not hold, and their keys."""
        return {id_: self.steps[id_].key for id_ in self._mounts.get(image, ())}

    def _layer(
        self, item: ResolvedEntry, recipe: Recipe, parent: Facts, below: tuple[str, ...], resolved: ResolvedImage
    ) -> str:
        kind: StepKind = "base" if item.section == "bases" else "layer"
        part = (recipe.piece if isinstance(recipe, Assemble) else "") or recipe.part
        name = "/".join(filter(None, (item.entry.name, part)))
        words = f"pipeline: {kind} {name}" + (f", {recipe.summary}" if recipe.summary else "")
        if self._several:
            name += f"@{resolved.platform}"
        above = {id_: self.steps[id_].key for id_ in below if self._decides(recipe, self.steps[id_])}
        inputs = {**self._inputs_of(item, recipe), **{id_: key[:12] for id_, key in above.items()}}
        step = Step(
            id=f"{kind} {name}",
            kind=kind,
            name=name,
            title=recipe.summary or item.entry.kind,
            key=self._key(kind, recipe, tuple(above.values())),
            inputs=inputs,
            needs=below,
            work=LayerWork(recipe, parent, below, words),
            place=item.entry.location,
        )
        return self._add(step, resolved.image.base, resolved.image.name)

    # Many images stand on the same entry, which is one value: what it comes to is found out once.

    def _inputs_of(self, item: ResolvedEntry, recipe: Recipe) -> Mapping[str, str]:
        if id(recipe) not in self._told_of:
            self._told_of[id(recipe)] = recipe_inputs(recipe, item.locked, item.facts.packages)
        return self._told_of[id(recipe)]

    def _key(self, kind: StepKind, recipe: Recipe, above: tuple[CacheKey, ...]) -> CacheKey:
        memo = (kind, id(recipe), above)
        if memo not in self._keys:
            self._keys[memo] = cache_key([kind, key_material(recipe), *above])
        return self._keys[memo]

    @staticmethod
    def _decides(recipe: Recipe, below: Step) -> bool:
        """Whether what lies below enters the key: for commands all of it, for packers what they do not know by name."""
        assert isinstance(below.work, LayerWork)
        if _executes(recipe):
            return True
        named = isinstance(recipe, Assemble) and not recipe.root_decides
        return not named and isinstance(below.work.recipe, Execute | Borrow)

    def image(self, group: Sequence[tuple[ResolvedImage, tuple[str, ...]]]) -> None:
        image = group[0][0].image
        stacks = tuple((resolved.platform, layers, runtime(resolved)) for resolved, layers in group)
        layers = tuple(dict.fromkeys(layer for _, stack, _ in stacks for layer in stack))
        inputs = {layer: self.steps[layer].key[:12] for layer in layers}
        names = [self.steps[layer].name for layer in layers]
        inputs["order"] = short_text(" ".join(dict.fromkeys(map(entry, names))))
        inputs["order of parts"] = short_text(" ".join(names))
        for _, _, config in stacks:
            inputs |= config_inputs(config)
        inputs["libraries ignored"] = " ".join(image.checks.libraries_ignore)
        material = [[str(p), [self._told(id_) for id_ in stack], config] for p, stack, config in stacks]
        whole: list[Any] = [material, image.checks.libraries_ignore]
        base = group[0][0].stack[0].entry
        if required := {name: asked for name, asked in (("base", base.requires), ("image", image.requires)) if asked}:
            whole.append(plain(required))
            inputs |= {f"required of the {name}": short_text(asked) for name, asked in required.items()}
        self._put("image", image, whole, inputs, layers, ImageWork(image, stacks, base.requires))

    def _told(self, id_: str) -> list[str]:
        """What an image takes from the step of a layer: its content, and its words in the history."""
        work = self.steps[id_].work
        return [self.steps[id_].key, work.words if isinstance(work, LayerWork) else ""]

    def push(self, image: Image, manifest: Manifest) -> None:
        """By digest alone: no tag moves before every check of the run has passed (two-phase publish)."""
        if image.push is None:
            return
        registry = manifest.registries[image.push.to]
        where = below(registry.address, image.push.repository, registry.location)
        built = f"image {image.name}"
        material = [self.steps[built].key, str(where), registry.compression]
        inputs = {built: self.steps[built].key[:12], "repository": str(where), "compression": registry.compression}
        tags = tuple(where.at(tag=tag) for tag in image.push.tags)
        work = PushWork(image, built, where, tags, registry.compression)
        self._put("push", image, material, inputs, (built,), work)

    def volumes_of(self, group: Sequence[tuple[ResolvedImage, tuple[str, ...]]], manifest: Manifest) -> None:
        """The images of the models that targets elsewhere mount into this one, by place: made and pushed as all are."""
        image = group[0][0].image
        for place, name, parts in self._volumes.of(image.name, self._mounts.get(image.name, {}).values()):
            layers = tuple(self._layer(one.item, recipe, Facts(), (), one.resolved) for one, recipe in parts)
            inputs = {id_: self.steps[id_].key[:12] for id_ in layers}
            volume = volumes.image_of(image, name, cache_key(list(inputs.values())))
            work = ImageWork(volume, tuple((resolved.platform, layers, {}) for resolved, _ in group))
            material = [[str(resolved.platform) for resolved, _ in group], [self._told(id_) for id_ in layers]]
            self._put("image", volume, material, inputs, layers, work)
            self.push(volume, manifest)
            self.volumes.setdefault(image.name, {})[place] = volume

    def check(self, resolved: ResolvedImage, deadline: float) -> None:
        image, python = resolved.image, resolved.stack[-1].facts.python
        checks = image.checks
        asked: dict[str, Any] = {"imports": checks.imports, "score": checks.score, "size": checks.size}
        built = f"image {image.name}"
        inputs = {built: self.steps[built].key[:12], **texts("imports", checks.imports)}
        inputs |= {"score": short_text(checks.score)} if checks.score else {}
        inputs |= {"size": exact_size(checks.size)} if checks.size else {}
        mounts = self._mounted(image.name)
        inputs |= {id_: key[:12] for id_, key in mounts.items()}
        work = CheckWork(image, built, python.executable if python else "", deadline, tuple(mounts))
        pushed = tuple(id_ for id_ in (f"push {image.name}",) if id_ in self.steps)
        material = [self.steps[built].key, asked, *mounts.values()]
        self._put("check", image, material, inputs, (built, *pushed, *mounts), work)

    def tag(self, image: Image, checks: tuple[str, ...]) -> None:
        """Waits for every push and check of the run: one failed image moves no tag (two-phase publish)."""
        built = f"image {image.name}"
        inputs = {built: self.steps[built].key[:12], "tags": " ".join(image.tags)}
        material: list[Any] = [self.steps[built].key, image.tags]
        work = TagWork(image, built)
        if push := self.steps.get(f"push {image.name}"):
            assert isinstance(push.work, PushWork)
            work = TagWork(image, built, push.id, push.work.tags)
            material += [push.key, [str(tag) for tag in push.work.tags]]
            published = " ".join(tag.tag for tag in push.work.tags)
            inputs |= {"published": published} if published != inputs["tags"] else {}
            inputs["repository"] = str(push.work.where)
        self._put("tag", image, material, inputs, checks, work)

    def target(self, target: Entry, image: Image, manifest: Manifest) -> None:
        built = f"image {image.name}"
        score = image.checks.score
        inputs = {built: self.steps[built].key[:12], "score": short_text(score), **flat("", target.spec)}
        remote = is_remote(target.kind)
        mounts = {} if remote else self._mounted(image.name)
        # Elsewhere, services run what was pushed.
        pushed = (f"push {image.name}",) if remote else ()
        there = self.volumes.get(image.name, {})
        given = {place: f"push {there[place].name}" for place in volumes.places(target, there)}
        tags = tuple(id_.replace("push ", "tag ", 1) for id_ in given.values())
        also = {**mounts, **{id_: self.steps[id_].key for id_ in (*pushed, *given.values())}}
        inputs |= {id_: key[:12] for id_, key in also.items()}
        step = Step(
            id=f"target {target.name}",
            kind="target",
            name=target.name,
            title=target.kind,
            key=cache_key(["target", self.steps[built].key, plain(target.spec), score, *also.values()]),
            inputs=inputs,
            # A tag stays where it is when only what is mounted changes, and then does not stand for the check.
            needs=(f"tag {image.name}", *((f"check {image.name}",) if mounts or given else ()), *tags, *also),
            work=TargetWork(
                target, image, built, f"{manifest.name}-{target.name}", tuple(mounts), "".join(pushed), given
            ),
            place=target.location,
        )
        self._add(step)

    def _put(
        self,
        kind: StepKind,
        image: Image,
        material: Any,
        inputs: Mapping[str, str],
        needs: tuple[str, ...],
        work: StepWork,
    ) -> None:
        title = ", ".join(image.tags) if kind == "tag" else str(work.where) if isinstance(work, PushWork) else ""
        key = cache_key([kind, image.name, material])
        self._add(Step(f"{kind} {image.name}", kind, image.name, title, key, inputs, needs, work, image.location))


def _deadlines(manifest: Manifest) -> dict[str, float]:
    """By image, the longest that a target gives it to become healthy (s)."""
    found: dict[str, float] = {}
    for target in manifest.targets.values():
        deadline = float((target.spec.get("health") or {}).get("deadline", 60))
        found[target.spec["image"]] = max(deadline, found.get(target.spec["image"], 0.0))
    return found


def _below(recipe: Recipe, made: Sequence[str], roots: Sequence[str]) -> tuple[str, ...]:
    """The steps of the layers that a recipe stands on; a command stands on all of them."""
    if _executes(recipe):
        return tuple(made)
    return tuple(roots) if isinstance(recipe, Assemble) and recipe.needs_root else ()


def _executes(recipe: Recipe) -> bool:
    return isinstance(recipe, Execute) or (isinstance(recipe, Assemble) and recipe.build is not None)
