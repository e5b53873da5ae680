"""What every target understands: the release wanted, what is observed, and the three verbs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Literal, Protocol

from pipeline.digest import Digest
from pipeline.manifest.model import Secret
from pipeline.noun import noun
from pipeline.oci.descriptor import Layer

State = Literal["absent", "starting", "running", "stopped", "failed", "unknown"]
"""`unknown`: whoever runs the service cannot be asked now."""


@noun
class Mount:
    """What an image is given and does not hold: the files that these layers have below `place`, read-only.

    A target elsewhere gets them by `reference` instead: an image (registry/repository@digest) whose root is `place`.
    """

    place: str
    layers: tuple[Layer, ...] = ()
    reference: str = ""

    def to_json(self) -> dict[str, Any]:
        value = {"place": self.place, "layers": [layer.to_json() for layer in self.layers]}
        return {**value, "reference": self.reference} if self.reference else value

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Mount:
        layers = tuple(Layer.from_json(layer) for layer in value["layers"])
        return Mount(value["place"], layers, value.get("reference", ""))


def mounted(mounts: Iterable[Mount]) -> list[Layer]:
    """The layers of all of them."""
    return [layer for mount in mounts for layer in mount.layers]


@noun
class Release:
    """An image wanted on a target.

    `service` is unique on this machine (manifest name and target name); `image` the image manifest's digest; `config`
    the OCI image config (config.md, "Properties"); `port` is where clients call, `container_port` what the image serves
    on. `settings` is the target entry's own spec. Everything is JSON, so that a release can be kept and put back.

    A target elsewhere (`pipeline.targets.remote`) gets the image by `reference`, registry/repository@digest as it was
    pushed; `image` is that digest, of an index where there are several platforms, and there are no `layers`. `config`
    is that of one of the platforms. `port` is 0 where neither the target nor the image names one.
    """

    service: str
    image: Digest
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    port: int
    container_port: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    reference: str = ""

    @property
    def revision(self) -> str:
        """Identifies image and settings together: what makes a rollout a change."""
        from pipeline.digest import cache_key

        mounted = [[one.place, *(layer.diff_id for layer in one.layers), *_named(one)] for one in self.mounts]
        where = [self.reference] if self.reference else []
        return cache_key([self.image, self.port, self.container_port, dict(self.settings), *mounted, *where])[:12]

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "image": self.image,
            "layers": [layer.to_json() for layer in self.layers],
            "config": dict(self.config),
            "port": self.port,
            "container_port": self.container_port,
            "settings": _marked(dict(self.settings)),
            "mounts": [mount.to_json() for mount in self.mounts],
            "reference": self.reference,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Release:
        layers = tuple(Layer.from_json(layer) for layer in value["layers"])
        mounts = tuple(Mount.from_json(mount) for mount in value.get("mounts") or ())
        return Release(**{**value, "layers": layers, "mounts": mounts, "settings": _unmarked(value["settings"])})


def _named(mount: Mount) -> list[str]:
    return [mount.reference] if mount.reference else []


_SECRET = "$secret"


def _marked(value: Any) -> Any:
    """JSON that tells of its secrets that they are."""
    if isinstance(value, Secret):
        return {_SECRET: value.reveal()}
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    return [_marked(item) for item in value] if isinstance(value, list | tuple) else value


def _unmarked(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {_SECRET}:
            return Secret(value[_SECRET])
        return {key: _unmarked(item) for key, item in value.items()}
    return [_unmarked(item) for item in value] if isinstance(value, list) else value


@noun
class Observation:
    """What is live on a target: which revision of which image, in what state, and where to call it."""

    state: State
    revision: str = ""
    image: str = ""
    address: str = ""
    detail: str = ""
    started: float = 0.0


class Target(Protocol):
    """A place where one service runs. The health gate and the automatic rollback are not here but above."""

    def observe(self) -> Observation:
        """What is live now; quick (milliseconds), never raises for a service that is down."""
        ...

    def rollout(self, release: Release) -> Observation:
        """Makes `release` live in place of whatever is; returns once it is started, not once it is healthy."""
        ...

    def rollback(self, release: Release) -> Observation:
        """Puts back an earlier release."""
        ...

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        """The service's output, oldest first."""
        ...

    def stop(self) -> Observation:
        """Ends the service; nothing to do when it is not running."""
        ...
