"""The manifest as frozen values: what the user wrote, checked, with defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import Location
from pipeline.noun import noun

Path_ = tuple[str | int, ...]
"""Where a value stands in the manifest: ("layers", "science", "pip", "packages", 0)."""


class Secret(str):
    """Text that must never be printed, logged, hashed into a key or baked into an image; `str(secret)` is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return str.__str__(self)


@noun
class Entry:
    """A base, layer or target: its kind, and the kind's own settings as its SCHEMA describes them (JSON types).

    Text in them may be a Secret: `reveal()` it where it is used, for `str()` and f-strings mask it. `requires` is
    what a base must hold (manifest.requires.normal).
    """

    name: str
    kind: str
    spec: Any
    location: Location
    requires: Mapping[str, Any] = field(default_factory=dict)


@noun
class Serve:
    """The serving contract: a script with init() and run(), relative to `app_root` in the image, and its port.

    `stack` names what is added to serve it; empty where the image's layers have the server. Times are in seconds.
    """

    entry_script: str
    port: int = 5001
    app_root: str = "/var/azureml-app"
    stack: str = ""
    workers: int | None = None
    scoring_timeout: float | None = None
    worker_timeout: float | None = None


@noun
class Checks:
    """What an image must prove: modules that import, a scoring request, and a largest size in bytes."""

    imports: tuple[str, ...] = ()
    score: Mapping[str, Any] | None = None
    size: int | None = None
    libraries_ignore: tuple[str, ...] = ()


@noun
class Push:
    """Where an image is published: `to` names a registry of the manifest, `repository` is below its address."""

    to: str
    repository: str
    tags: tuple[str, ...]


@noun
class Image:
    """An image entry. `base` names a base, or another image that this one builds on (never both, never in a cycle);
    `layers` names layers, lowest first. No platforms: the caller's choice.
    """

    name: str
    base: str
    layers: tuple[str, ...]
    location: Location
    serve: Serve | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    command: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    tags: tuple[str, ...] = ("latest",)
    checks: Checks = field(default_factory=Checks)
    requires: Mapping[str, Any] = field(default_factory=dict)
    push: Push | None = None


RETRY_ON = ("passing", "command", "check", "rollout")
"""Failures that may be tried again: those that may pass by themselves, by what their error says; and, though by their
errors they are there to stay, a command that failed, a check, and a target that did not become healthy.
"""


@noun
class Retry:
    """How a step that failed is tried again: `attempts` in all, waits growing from `wait` seconds to `max_wait`, each
    longer by up to the share `jitter` of it, and none that would end later than `deadline` seconds after the beginning
    (0: no such limit). `on` says after which failures (RETRY_ON); `steps` has what is otherwise for a kind of step.
    """

    attempts: int = 3
    wait: float = 0.5
    max_wait: float = 20.0
    jitter: float = 0.5
    deadline: float = 0.0
    on: tuple[str, ...] = ("passing",)
    steps: Mapping[str, Retry] = field(default_factory=dict)

    def of(self, kind: str) -> Retry:
        """For steps of this kind."""
        return self.steps.get(kind, self)


@noun
class Timeouts:
    """How long things may take, in seconds: `connect` to open a connection, `read` without a byte, `step` a whole step
    with all its tries (0: no limit); `steps` has what is otherwise for a kind of step.
    """

    connect: float = 10.0
    read: float = 30.0
    step: float = 6 * 3600.0
    steps: Mapping[str, float] = field(default_factory=dict)

    def of(self, kind: str) -> float:
        """For a whole step of this kind."""
        return self.steps.get(kind, self.step)


@noun
class LayerBudget:
    """How entries are divided into OCI layers, sizes in bytes: what is alone from `own` on, how large a `group` of the
    rest about is, the most `parts` of one entry (its bytecode apart), the largest layer, and the most layers in all.
    """

    own: int = 2 << 20
    group: int = 2 << 20
    parts: int = 30
    size: int = 8_000_000_000
    number: int = 120


@noun
class Remote:
    """How a registry builds images: where it puts them (empty: a default), for how many seconds at most, and which of
    its agent pools (empty: the shared one).
    """

    repository: str = ""
    timeout: float = 3600.0
    pool: str = ""


@noun
class Build:
    """How commands are executed: `engine` is auto, docker, podman, none or acr; `network` is default, host or none;
    `ca_bundle` is auto (this machine's), none, or a path. `layers` is how what is assembled is divided. `registry`
    names the one that builds, for acr.
    """

    engine: str = "auto"
    network: str = "default"
    ca_bundle: str = "auto"
    layers: LayerBudget = field(default_factory=LayerBudget)
    registry: str = ""
    remote: Remote = field(default_factory=Remote)


@noun
class Cache:
    """Where results are shared between machines: a repository below the address of a registry of the manifest.

    Without `read` nothing is taken from there, without `write` nothing is put there.
    """

    registry: str
    repository: str = "cache"
    read: bool = True
    write: bool = True


@noun
class Azure:
    """Who signs in to Azure, and what of it is meant.

    `login` is auto (whatever azure-identity finds), cli (`az login`), or managed; with `client_secret` it is a service
    principal. `workspace` is the ARM id of a machine-learning workspace, whose registry is meant; `subscription` and
    `resource_group` say where a registry is.
    """

    login: str = "auto"
    tenant: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    workspace: str = ""
    subscription: str = ""
    resource_group: str = ""


@noun
class Registry:
    """An OCI registry (and path prefix) with its credentials.

    `ca` is a file of the project with certificate authorities (PEM); `insecure` allows plain HTTP; `compression` is
    what layers get that are pushed there. The `address` of a workspace's registry is empty until Azure was asked.
    """

    name: str
    address: str
    username: str = ""
    password: Secret | None = None
    location: Location = field(default_factory=lambda: Location(""))
    ca: str = ""
    insecure: bool = False
    compression: Literal["auto", "zstd", "gzip"] = "auto"
    azure: Azure | None = None


@noun
class Schedule:
    """When a manifest is resolved anew: crontab's five fields, in a time zone of the IANA database, up to `jitter`
    seconds later. `upgrade` names what is taken anew (empty: everything); `policy` is propose, apply, or empty where
    the server's setting holds.
    """

    cron: str
    timezone: str = "UTC"
    jitter: float = 0.0
    upgrade: tuple[str, ...] = ()
    policy: str = ""


@noun
class Manifest:
    """A whole manifest. `root` is the project folder that no path may leave; `secrets` are texts to mask in any output.

    `path` and `root` are absolute; paths in the manifest are relative to `path.parent`. `where` gives the Location of a
    value from its path in the manifest; `digest` identifies the data, what was substituted included, secrets left out.
    """

    path: Path
    root: Path
    name: str
    version: int
    registries: Mapping[str, Registry]
    bases: Mapping[str, Entry]
    layers: Mapping[str, Entry]
    images: Mapping[str, Image]
    targets: Mapping[str, Entry]
    retry: Retry
    secrets: tuple[Secret, ...]
    digest: str
    where: Callable[[Path_], Location]
    build: Build = field(default_factory=Build)
    timeouts: Timeouts = field(default_factory=Timeouts)
    cache: Cache | None = None
    schedule: Schedule | None = None
