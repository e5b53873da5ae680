"""A target that only remembers: for tests, and for trying what stands above targets without a machine to deploy to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.targets.model import Observation, Release, State


class MemoryTarget:
    """Runs nothing. `becomes(release)` is the state that a release that was rolled out is in, `running` by default.

    `history` holds what was asked, oldest first: ("rollout", revision), ("rollback", revision), ("stop", "").
    """

    def __init__(self, becomes: Callable[[Release], State] = lambda _release: "running") -> None:
        self._becomes = becomes
        self._live: Release | None = None
        self._stopped = False
        self.history: list[tuple[str, str]] = []

    def observe(self) -> Observation:
        if self._live is None:
            return Observation("absent")
        state: State = "stopped" if self._stopped else self._becomes(self._live)
        address = f"http://127.0.0.1:{self._live.port}"
        return Observation(state, self._live.revision, self._live.image, address)

    def rollout(self, release: Release) -> Observation:
        return self._start("rollout", release)

    def rollback(self, release: Release) -> Observation:
        return self._start("rollback", release)

    def _start(self, verb: str, release: Release) -> Observation:
        self.history.append((verb, release.revision))
        self._live, self._stopped = release, False
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:  # noqa: ARG002
        told = [f"{verb} {revision}".strip() for verb, revision in self.history]
        return iter(told if lines is None else told[max(len(told) - lines, 0) :])

    def stop(self) -> Observation:
        self.history.append(("stop", ""))
        self._stopped = True
        return self.observe()
