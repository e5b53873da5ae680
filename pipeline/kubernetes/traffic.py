"""Two Deployments behind one Service: a new release beside the stable one, and how much of the traffic it has."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.errors import OutOfReach, RolloutError
from pipeline.kubernetes import names
from pipeline.kubernetes.api import Cluster, Object
from pipeline.kubernetes.health import Condition, condition, is_complete
from pipeline.kubernetes.objects import canary_service, deployment, named, secrets, service
from pipeline.kubernetes.owners import is_ours
from pipeline.kubernetes.patches import patched
from pipeline.kubernetes.scale import scalers
from pipeline.manifest.build import seconds
from pipeline.targets.model import Release
from pipeline.targets.remote import Account, Strategy


def strategy_of(release: Release) -> Strategy | None:
    """As the settings say; None for pod by pod, which is the Deployment's own."""
    given = release.settings.get("strategy") or {}
    if given.get("blue_green"):
        return Strategy((100,), pause=0.0)
    if "canary" not in given:
        return None
    canary = given["canary"]
    latency = canary.get("latency")
    return Strategy(
        tuple(canary.get("steps", (10, 50, 100))),
        seconds(canary.get("pause", 60)),
        float(canary.get("errors", 0.01)),
        None if latency is None else seconds(latency),
    )


class Traffic:
    """The split of one service's traffic by the numbers of pods; `put` applies an object."""

    def __init__(
        self,
        cluster: Cluster,
        release: Release,
        account: Account | None,
        put: Callable[[Object], None],
        *,
        wait: Callable[[float], None],
        clock: Callable[[], float],
        deadline: float,
    ) -> None:
        self._cluster, self._release, self._account, self._put = cluster, release, account, put
        self._wait, self._clock, self._deadline = wait, clock, deadline
        self._stable, self._canary = named(release), named(release, f"-{names.CANARY}")

    def begin(self, stable: Object) -> None:
        """The new release beside the stable one, with an address of its own and no traffic."""
        strategy = strategy_of(self._release)
        # Of a canary that a killed run left, stable pods may have gone already.
        total = max(int(stable["spec"].get("replicas", 1)), self._total())
        first = strategy.steps[0] if strategy else 100
        for secret in secrets(self._release, self._account):
            self._put(secret)
        self._put_service(names.STABLE)
        self._put(canary_service(self._release))
        self._put_canary(self._pods(total, first), total)

    def share(self, percent: int) -> None:
        """About this much of the traffic, as near as whole pods come."""
        total = self._total()
        new = self._pods(total, percent)
        self._put_canary(new, total)
        self.wait_for(self._canary)
        self._put_service(names.STABLE, names.CANARY)
        if not self._is_scaled():
            self._cluster.merge("Deployment", self._stable, {"spec": {"replicas": max(1, total - new)}})

    def all_to_canary(self) -> None:
        total = self._total()
        self._put_canary(total, total)
        self.wait_for(self._canary)
        self._put_service(names.CANARY)

    def prepare_stable(self) -> None:
        """As many stable pods as the canary has, ready for all traffic: an autoscaler saw none there meanwhile."""
        found = self._cluster.get("Deployment", self._stable)
        total = self._total()
        if self._is_scaled() and found and int(found["spec"].get("replicas", 1)) < total:
            self._cluster.merge("Deployment", self._stable, {"spec": {"replicas": total}})
        self.wait_for(self._stable)

    def _is_scaled(self) -> bool:
        """Whether an autoscaler decides how many stable pods there are: then nobody else does."""
        return "autoscale" in self._release.settings or bool(scalers(self._cluster, self._stable))

    def _total(self) -> int:
        """How many pods there were when it began; of what scales itself, as many as there are, if these are more."""
        canary = self._cluster.get("Deployment", self._canary)
        total = int(((canary or {}).get("metadata", {}).get("annotations") or {}).get(names.REPLICAS, 1))
        stable = self._cluster.get("Deployment", self._stable) if self._is_scaled() else None
        return max(total, int(stable["spec"].get("replicas", 1))) if stable else total

    def _pods(self, total: int, percent: int) -> int:
        """So many new pods for a share of the traffic: in place of stable ones, or beside those that scale."""
        if percent >= 100 or not self._is_scaled():
            return _part(total, percent)
        most = int((self._release.settings.get("autoscale") or {}).get("max", total))
        return max(1, min(math.floor(total * percent / (100 - percent) + 0.5), most))

    def end(self) -> None:
        """There is only the stable one; another service may be called as its canary would be."""
        for kind in ("Deployment", "Service"):
            live = self._cluster.get(kind, self._canary)
            if live and is_ours(live, self._stable):
                self._cluster.delete(kind, self._canary)

    def wait_for(self, name: str) -> None:
        """Until all pods of a Deployment are ready. RolloutError when they do not become so."""
        until = self._clock() + self._deadline
        while True:
            try:
                how = self._condition(name)
            except OutOfReach:
                # It goes on without the API server, which may come back.
                if self._clock() >= until:
                    raise
                self._wait(1.0)
                continue
            if how.state == "running":
                return
            if how.state == "failed" or self._clock() >= until:
                raise RolloutError(f"{name} did not become ready: {how.detail}")
            self._wait(1.0)

    def _condition(self, name: str) -> Condition:
        found = self._cluster.get("Deployment", name)
        if found is None:
            raise RolloutError(f"the Deployment {name} was deleted by others", remedy="run it again")
        if is_complete(found):
            # Of no pods, too.
            return Condition("running", "")
        return condition(self._cluster, found, patient=True)

    def _put_canary(self, replicas: int, total: int) -> None:
        made = deployment(self._release, names.CANARY, replicas, pull=self._account is not None)
        made["metadata"]["annotations"][names.REPLICAS] = str(total)
        self._put(self._patched(made))

    def _put_service(self, *tracks: str) -> None:
        self._put(self._patched(service(self._release, *tracks)))

    def _patched(self, made: Object) -> Object:
        patches = [one for one in self._release.settings.get("patches") or () if one["kind"] == made["kind"]]
        return patched([made], patches)[0]


def _part(total: int, percent: int) -> int:
    return max(1, math.floor(total * percent / 100 + 0.5))
