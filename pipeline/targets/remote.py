"""Targets outside this machine: what their kinds are given, and what the gate may ask of them beside the three verbs.

A kind of such targets has `REMOTE = True` and `target(service, spec, surroundings)`, which gives a RemoteTarget; its
image is pushed before, and named by `Release.reference`. `WHERE` names the settings that decide where services are, and
`MOUNTS = True` says that models which an image does not hold are mounted as images of their own (`Release.mounts`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.manifest.model import Secret
from pipeline.noun import noun
from pipeline.targets.model import Observation, Release


@noun
class Account:
    """A registry (its host) and who may read there, as a pull secret needs it."""

    registry: str
    username: str
    password: Secret


@noun
class Surroundings:
    """What a target kind may use of this machine and of the run.

    `state` is the folder for what is to be kept, `folder` the manifest's. `account(reference)` gives the credentials
    that the manifest has for an image's registry, None for none: ask when they are needed, and keep them nowhere.
    `say` shows progress. `clock` is Unix time in seconds, `wait` lets seconds pass, and ends early by Interrupted.
    """

    state: Path
    folder: Path
    environ: Mapping[str, str]
    account: Callable[[str], Account | None]
    say: Callable[[str], None]
    clock: Callable[[], float]
    wait: Callable[[float], None]


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


Send = Callable[[str, bytes, Mapping[str, str], float], Answer]
"""POSTs JSON to a URL with headers, waits at most so many seconds; raises OSError when no answer comes."""


@noun
class Endpoint:
    """Where a scoring request goes, and the headers that it needs: a key or a token among them is a Secret.

    `send` is for services that plain HTTP(S) from this machine does not reach.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    send: Send | None = None


@noun
class Difference:
    """A field that is live otherwise than wanted: `live` or `wanted` is None where there is none. Secrets are masked.

    `owner` is who made it so, where that is known. What runs goes on running while it is mended unless `restarts`.
    """

    field: str
    live: str | None
    wanted: str | None
    owner: str = ""
    restarts: bool = True

    def __str__(self) -> str:
        if self.live is None:
            text = f"{self.field} is missing" if self.wanted is None else f"{self.field}: none → {self.wanted}"
        else:
            text = f"{self.field}: {self.live} → {'none' if self.wanted is None else self.wanted}"
        return f"{text} (set by {self.owner})" if self.owner else text


class Verified(Protocol):
    """Remembers, for each service, the releases that passed the gate, and which one is pinned."""

    def get(self, service: str) -> Release | None:
        """The one that passed last."""
        ...

    def put(self, release: Release) -> None: ...

    def history(self, service: str) -> Sequence[Release]:
        """Those that may be put back, the last first."""
        ...

    def demote(self, service: str, revision: str) -> None:
        """Puts one that was left behind at the end of the history."""
        ...

    def pinned(self, service: str) -> str:
        """The revision that is to stay; empty for none."""
        ...

    def pin(self, service: str, revision: str) -> None:
        """An empty revision lifts the pin."""
        ...


@noun
class Strategy:
    """How traffic goes over to a release that is healthy and has scored: in `steps` of percent, the last of them 100.

    After each step but the last, the new release is watched for `pause` seconds: it is stopped and put back when more
    than the share `errors` of the scoring requests sent meanwhile fail, or the slowest but 5 % take longer than
    `latency` seconds.
    """

    steps: tuple[int, ...] = (100,)
    pause: float = 60.0
    errors: float = 0.01
    latency: float | None = None


class RemoteTarget(ABC):
    """A place elsewhere where one service runs: `pipeline.targets.model.Target`, and what the gate may ask beside.

    `observe` gives the state `unknown` where nobody answers. An OutOfReach or UsageError of `rollout` is the run's own
    error, with its exit code: nothing is rolled back then. `stop` follows a first release that does not pass.
    """

    @abstractmethod
    def observe(self) -> Observation: ...

    def look(self) -> Observation:
        """As `observe`, for who waits: raises UsageError where waiting does not help, as with a token that expired."""
        return self.observe()

    @abstractmethod
    def rollout(self, release: Release) -> Observation: ...

    def check(self, *, mounts: Collection[str] = (), scores: bool = False, image: str = "") -> None:  # noqa: B027
        """Raises UsageError for what would stop a rollout and can be told before there is an image: asked as soon as it
        is planned. `mounts` are the folders of the models that it is given; `scores` when it is to score; `image` is
        the repository that it will be in.
        """

    def place(self) -> str:
        """Where the service is, in words that tell it from every other place; empty for a kind that is not asked."""
        return ""

    def removal(self) -> str:
        """How to remove for good what is at this place, in words."""
        return "remove it there"

    def left(self) -> Mapping[str, str]:
        """What the service has left beside, by place: how it is and is removed, in words."""
        return {}

    @abstractmethod
    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]: ...

    @abstractmethod
    def stop(self) -> Observation: ...

    def rollback(self, release: Release) -> Observation:
        return self.rollout(release)

    def endpoint(self, seen: Observation) -> Endpoint | None:
        """Where the release that was rolled out last scores, before it has any traffic of others.

        None where no request from this machine gets there: it is not scored then, and the target says so.
        """
        return Endpoint(f"{seen.address}/score")

    def differences(self, release: Release) -> Sequence[Difference]:  # noqa: ARG002
        """What is live otherwise than `release` has it: of the verified one, that is drift; of a new one, the plan."""
        return ()

    def verified(self) -> Verified | None:
        """What passed the gate, kept where the service is, so that every machine knows; None: kept on this machine."""
        return None

    def strategy(self, release: Release) -> Strategy | None:  # noqa: ARG002
        """How `release` gets the traffic; None where `rollout` itself hands it over."""
        return None

    def shift(self, release: Release, percent: int) -> None:
        """Gives `release` so much of the traffic, and the one before the rest; at 100 the one before may go."""
        raise NotImplementedError
