"""Steps and plans: what would happen, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from pipeline.digest import CacheKey
from pipeline.errors import Location
from pipeline.facts import Facts, Platform
from pipeline.manifest.model import Entry, Image
from pipeline.noun import noun
from pipeline.recipe import Assemble, Borrow, Execute, Recipe
from pipeline.reference import Reference

StepKind = Literal["base", "layer", "image", "push", "check", "tag", "target"]


@noun
class ResolvedEntry:
    """A base or layer on one platform: its locked inputs, what lies below it, what it adds, and its recipes."""

    section: Literal["bases", "layers"]
    entry: Entry
    lock_id: str
    locked: Any
    parent: Facts
    facts: Facts
    recipes: tuple[Recipe, ...]


@noun
class ResolvedImage:
    """An image on one platform: its base first, then its layers, lowest first.

    `below` is the image of the manifest that it is built on, whose stack its own begins with.
    """

    image: Image
    platform: Platform
    stack: tuple[ResolvedEntry, ...]
    below: ResolvedImage | None = None


@noun
class LayerWork:
    """A step that makes the OCI layers of one recipe. `below`: the steps that it stands on, where it needs them.

    `words` are for the history of images that have the layers.
    """

    recipe: Recipe
    parent: Facts
    below: tuple[str, ...] = ()
    words: str = ""


@noun
class ImageWork:
    """A step that puts an image together: for each platform the steps of its layers, lowest first.

    `requires` is what the layers of its base must hold; the image's own requirements are its own.
    """

    image: Image
    stacks: tuple[tuple[Platform, tuple[str, ...], Mapping[str, Any]], ...]
    requires: Mapping[str, Any] = field(default_factory=dict)


@noun
class PushWork:
    """A step that puts an image into a registry by its digest; `tags` are moved later, by another step."""

    image: Image
    built: str
    where: Reference
    tags: tuple[Reference, ...]
    compression: Literal["auto", "zstd", "gzip"] = "auto"


@noun
class CheckWork:
    """A step that proves an image fit to serve: by its `python`, and healthy within `deadline` seconds.

    `mounts` are the steps of the layers that it is given and does not hold.
    """

    image: Image
    built: str
    python: str = ""
    deadline: float = 60.0
    mounts: tuple[str, ...] = ()


@noun
class TagWork:
    """A step that moves an image's tags, after every image of the run has passed its checks.

    `pushed` is the step that pushed it, where one did; `published` are its tags in the registry.
    """

    image: Image
    built: str
    pushed: str = ""
    published: tuple[Reference, ...] = ()


@noun
class TargetWork:
    """A step that makes an image live on a target, with the layers of the steps `mounts` beside it.

    `pushed` is the step that pushed the image, for a target elsewhere; there is none for one on this machine. `volumes`
    are the steps that pushed what is mounted there, by place.
    """

    target: Entry
    image: Image
    built: str
    service: str
    mounts: tuple[str, ...] = ()
    pushed: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)


StepWork = LayerWork | ImageWork | PushWork | CheckWork | TagWork | TargetWork


@noun
class Step:
    """A node of the graph. `inputs` names all that entered `key`, with short values, for saying why it changed."""

    id: str
    kind: StepKind
    name: str
    title: str
    key: CacheKey
    inputs: Mapping[str, str]
    needs: tuple[str, ...]
    work: StepWork
    place: Location


@noun
class Change:
    """An input of a step that is another than last time: its name (pipeline.plan.inputs), and its text before and now,
    None where it was or is not there. Secrets are not told.
    """

    name: str
    before: str | None
    now: str | None


@noun
class Verdict:
    """Whether a step would be a hit, and if not, why not: in short, and every input that changed."""

    hit: bool
    why: str = ""
    changes: tuple[Change, ...] = ()


@noun
class Plan:
    """Steps in an order in which each comes after what it needs, with a verdict for each."""

    name: str
    steps: tuple[Step, ...]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    by_id: dict[str, Step] = field(default_factory=dict)

    def step(self, id_: str) -> Step:
        """Raises KeyError for none."""
        if not self.by_id:
            self.by_id.update((step.id, step) for step in self.steps)
        return self.by_id[id_]


def comes_when_needed(work: StepWork) -> bool:
    """Whether a step's layers need not be in the store: they can be fetched from where an image from elsewhere is."""
    return isinstance(work, LayerWork) and isinstance(work.recipe, Borrow) and "from" in work.recipe.sources


def executes(work: StepWork) -> bool:
    """Whether a step runs commands, whose result may differ each time."""
    if not isinstance(work, LayerWork):
        return False
    recipe = work.recipe
    return isinstance(recipe, Execute) or (isinstance(recipe, Assemble) and recipe.build is not None)
