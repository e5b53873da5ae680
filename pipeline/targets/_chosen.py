"""Decides what runs a local service: the engine that is asked for, or the first in reach, or Linux namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.errors import RolloutError
from pipeline.targets._runtime import Process, Runtime
from pipeline.targets.model import Release

if TYPE_CHECKING:
    from pipeline.engine.find import Choice
    from pipeline.engine.model import About
    from pipeline.store.roots import Roots

_LIMITS = ("memory", "cpus", "gpus")


class ChosenRuntime:
    """Starts a service by what `engine` says (auto, docker, podman, none); asks and stops it where it was started."""

    def __init__(
        self,
        service: str,
        state: Path,
        roots: Roots,
        engine: str,
        environ: Mapping[str, str],
        *,
        detached: bool = True,
    ) -> None:
        self._service = service
        self._state = state
        self._roots = roots
        self._choice = engine
        self._environ = environ
        self._detached = detached

    def start(self, release: Release, host: str) -> None:
        """Raises OutOfReach for an engine that was asked for and does not answer."""
        # What is put back may have asked for another engine than the manifest does now.
        about = self._engine(release.settings.get("engine", self._choice) if self._detached else "none")
        limits = [name for name in _LIMITS if release.settings.get(name)]
        if about is None and limits:
            raise RolloutError(
                f"a service without a container engine has no limits, and the target sets {' and '.join(limits)}",
                remedy="install Docker or Podman, or take the limits out",
            )
        before = self._started_in()
        if (before and before.address) != (about and about.address):
            self._runtime(before).remove()
            # Each keeps a record of its own form there.
            (self._state / "status.json").unlink(missing_ok=True)
        self._runtime(about).start(release, host)

    def inspect(self) -> Process | None:
        return self._runtime(self._started_in()).inspect()

    def stop(self) -> None:
        self._runtime(self._started_in()).stop()

    def remove(self) -> None:
        self._runtime(self._started_in()).remove()
        (self._state / "status.json").unlink(missing_ok=True)

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        return self._runtime(self._started_in()).logs(follow=follow, lines=lines)

    def _engine(self, choice: str) -> About | None:
        from pipeline.engine.find import find

        found = find(self._environ, cast("Choice", choice))
        if found is None or found.address.startswith("unix://"):
            return found
        if choice == "auto":
            return None
        raise RolloutError(
            f"{found} is on another machine, and a local service runs on this one",
            remedy="set `engine: none`, or unset DOCKER_HOST",
        )

    def _started_in(self) -> About | None:
        """The engine that the service was last started in; None for none."""
        from pipeline.targets._status import engine_of

        return engine_of(self._state)

    def _runtime(self, about: About | None) -> Runtime:
        if about is None:
            from pipeline.targets._service import NamespaceRuntime

            return NamespaceRuntime(self._state, self._roots.layer, detached=self._detached)
        from pipeline.targets._docker import DockerRuntime

        return DockerRuntime(self._service, self._state, about, self._roots.tar, self._roots.together)
