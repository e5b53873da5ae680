"""One service in a cluster: what is live, rolling out by server-side apply, canaries, logs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pipeline.errors import OutOfReach, UsageError
from pipeline.kubernetes import names, rights, volumes
from pipeline.kubernetes.api import Cluster, Object
from pipeline.kubernetes.applying import applied, put, to_be_taken_back
from pipeline.kubernetes.compare import differences
from pipeline.kubernetes.health import condition
from pipeline.kubernetes.leftover import elsewhere, place, removal
from pipeline.kubernetes.objects import env_secret_name, objects, secret_env, taken
from pipeline.kubernetes.output import output
from pipeline.kubernetes.owners import check_owners, others
from pipeline.kubernetes.pods import image_volumes, revision_of_pods
from pipeline.kubernetes.releases import ReleasesSecret
from pipeline.kubernetes.scale import is_scaled
from pipeline.kubernetes.traffic import Traffic, strategy_of
from pipeline.kubernetes.where import address
from pipeline.targets.model import Observation, Release
from pipeline.targets.remote import Answer, Difference, Endpoint, RemoteTarget, Strategy, Surroundings

_PRUNED = ("Ingress", "HorizontalPodAutoscaler", "Secret")


class KubernetesTarget(RemoteTarget):
    """A service in one namespace; `connect` gives the cluster when it is asked for the first time."""

    def __init__(
        self, service: str, spec: Mapping[str, Any], connect: Callable[[], Cluster], surroundings: Surroundings
    ) -> None:
        self._service, self._spec, self._surroundings = service, spec, surroundings
        self._connect = connect
        self._name = names.name_of(service, spec)
        self._verified = ReleasesSecret(lambda: self.cluster, self._name)
        self._beside = False
        self._told = ""
        """What was last said of a rollout that goes on; empty for none."""

    @cached_property
    def cluster(self) -> Cluster:
        return self._connect()

    # -- what is live -------------------------------------------------------------------------------------------

    def observe(self) -> Observation:
        try:
            return self.look()
        except UsageError as error:
            return Observation("unknown", detail=str(error))

    def look(self) -> Observation:
        try:
            return self._observed()
        except OutOfReach as error:
            return Observation("unknown", detail=str(error))

    def _observed(self) -> Observation:
        live = self._deployments()
        seen = live.get(names.CANARY) or live.get(names.STABLE)
        if seen is None:
            found = self.cluster.get("Deployment", self._name)
            whose = others("Deployment", found, self._service, self._name) if found else ""
            return Observation("absent", detail=f"the Deployment {self._name} {whose}" if whose else "")
        marks = seen["metadata"].get("annotations") or {}
        how = condition(self.cluster, seen, patient=bool(self._told))
        if self._told and how.state == "starting" and how.detail != self._told:
            self._told = how.detail
            self._surroundings.say(how.detail)
        return Observation(
            how.state,
            marks.get(names.REVISION, ""),
            marks.get(names.IMAGE, ""),
            address(self.cluster, self._name),
            how.detail,
            _since(seen),
        )

    def _deployments(self) -> dict[str, Object]:
        """Those of this service, by their tracks."""
        found = self.cluster.find("Deployment", labels=names.selector(self._name))
        tracks = {one["metadata"]["name"].removeprefix(f"{self._name}-"): one for one in found if _stays(one)}
        stable = self.cluster.get("Deployment", self._name) if self._name not in tracks else tracks[self._name]
        if stable and others("Deployment", stable, self._service, self._name):
            stable = None
        return {
            **({names.STABLE: stable} if stable else {}),
            **({names.CANARY: tracks[names.CANARY]} if names.CANARY in tracks else {}),
        }

    def differences(self, release: Release) -> Sequence[Difference]:
        found: list[Difference] = []
        for wanted in self._objects(release):
            live = self.cluster.get(wanted["kind"], wanted["metadata"]["name"])
            would = self.cluster.apply(wanted, dry_run=True, force=True) if live else wanted
            if live and is_scaled(wanted):
                would["spec"]["replicas"] = live["spec"].get("replicas", 1)
            found += differences(live, would, to_be_taken_back(self.cluster, would) if live else ())
        return found

    def verified(self) -> ReleasesSecret:
        return self._verified

    # -- the verbs ----------------------------------------------------------------------------------------------

    def check(self, *, mounts: Collection[str] = (), scores: bool = False, image: str = "") -> None:
        rights.check(self.cluster, self._spec, scores=scores)
        # Where there is none of it, and no namespace, to keep it would be refused.
        self._verified.check()
        check_owners(self.cluster, self._service, self._name, self._names(self._spec, image))
        given = self._spec.get("volumes") or {}
        named = {folder: one["image"] for folder, one in given.items() if "image" in one}
        volumes.check(self.cluster, {*mounts, *named}, named.values())

    def place(self) -> str:
        return place(self.cluster, self._name)

    def removal(self) -> str:
        return removal(self._name, self.cluster.namespace, self._spec)

    def left(self) -> dict[str, str]:
        found = elsewhere(self.cluster, self._service, self._name)
        how = {one: removal(one, self.cluster.namespace, self._spec) for one in found}
        return {place(self.cluster, one): f"where it is still: {how[one]}" for one in found}

    def rollout(self, release: Release) -> Observation:
        live = self._deployments()
        stable = live.get(names.STABLE)
        self._check_owners(release)
        mounted = image_volumes(release)
        volumes.check(self.cluster, mounted, mounted.values())
        # What the cluster refuses is refused before anything has changed.
        for wanted in self._objects(release):
            applied(self.cluster, wanted, dry_run=True, force=bool(self._spec.get("force", False)))
        self._verified.check()
        self._beside = bool(
            strategy_of(release)
            and stable
            and stable["spec"].get("replicas", 1)
            and _revision_of_pods(stable) != revision_of_pods(release)
        )
        if self._beside and stable:
            self._traffic(release).begin(stable)
        elif stable and _takes_over(release, stable, live.get(names.CANARY)):
            self._apply_beside_canary(release)
        else:
            self._apply(release, live)
        self._told = "applied"
        return self.observe()

    def rollback(self, release: Release) -> Observation:
        """All at once: what is put back has been tried."""
        self._check_owners(release)
        self._beside = False
        self._apply(release, self._deployments())
        self._told = "applied"
        return self.observe()

    def _apply(self, release: Release, live: Mapping[str, Object]) -> None:
        if "autoscale" not in release.settings:
            # Else it would set the count once more.
            self._delete("HorizontalPodAutoscaler", keep=set())
        for wanted in self._objects(release):
            self._put(wanted)
        self._traffic(release).end()
        stable = live.get(names.STABLE)
        if "autoscale" in release.settings and stable and stable["spec"].get("replicas") == 0:
            least = release.settings["autoscale"].get("min", 1)
            self.cluster.merge("Deployment", self._name, {"spec": {"replicas": least}})
        self._prune(release, keep=_revision_of_pods(stable) if stable else "")

    def _objects(self, release: Release) -> list[Object]:
        return objects(release, self._surroundings.account(release.reference))

    def _put(self, wanted: Object) -> None:
        put(self.cluster, wanted, force=bool(self._spec.get("force", False)))

    def _check_owners(self, release: Release) -> None:
        """Raises UsageError for what others have made under the names of a release."""
        secret = [("Secret", env_secret_name(release))] if secret_env(release) else []
        found = self._names(release.settings, release.reference, *secret)
        check_owners(self.cluster, self._service, self._name, found)

    def _names(self, spec: Mapping[str, Any], image: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
        """(kind, name) of what nobody else may have; nothing where that may be taken over."""
        if spec.get("force") or self._spec.get("force"):
            return []
        pull = bool(image) and self._surroundings.account(image) is not None
        return [*taken(self._service, spec, pull=pull), *more]

    def _prune(self, release: Release, keep: str) -> None:
        """Deletes what earlier releases had and this one has not."""
        wanted = {(one["kind"], one["metadata"]["name"]) for one in self._objects(release)}
        wanted |= {
            ("Secret", f"{self._name}-env-{keep}"),
            ("Secret", f"{self._name}-releases"),
        }
        for kind in _PRUNED:
            self._delete(kind, keep={name for of, name in wanted if of == kind})

    def _delete(self, kind: str, keep: Collection[str]) -> None:
        """Those of this service, but for some."""
        for one in self.cluster.find(kind, labels=names.selector(self._name)):
            if one["metadata"]["name"] not in keep:
                self.cluster.delete(kind, one["metadata"]["name"])

    def stop(self) -> Observation:
        """To no pods; the Service and the rest stay for what comes next."""
        live = self._deployments()
        self._delete("HorizontalPodAutoscaler", keep=())
        if names.STABLE in live:
            self.cluster.merge("Deployment", self._name, {"spec": {"replicas": 0}})
        if names.CANARY in live:
            self.cluster.delete("Deployment", f"{self._name}-{names.CANARY}")
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        live = self._deployments()
        seen = live.get(names.CANARY) or live.get(names.STABLE)
        return output(self.cluster, seen, follow=follow, lines=lines) if seen else iter(())

    # -- scoring and traffic ------------------------------------------------------------------------------------

    def endpoint(self, seen: Observation) -> Endpoint:
        """Through the API server, which reaches every service; while a canary has no traffic, its own."""
        service = f"{self._name}-{names.CANARY}" if self._beside else self._name
        found = self.cluster.get("Service", service) or {"spec": {"ports": [{"port": 80}]}}
        port = int(found["spec"]["ports"][0]["port"])

        def send(_url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
            return self.cluster.call(service, port, "/score", body, headers, timeout)

        # Alone it has no address but its own.
        where = f"{service}.{self.cluster.namespace}:{port}" if self._beside else seen.address or service
        return Endpoint(f"{where}/score", send=send)

    def strategy(self, release: Release) -> Strategy | None:
        return strategy_of(release) if self._beside else None

    def shift(self, release: Release, percent: int) -> None:
        traffic = self._traffic(release)
        if percent < 100:
            traffic.share(percent)
            return
        traffic.all_to_canary()
        self._apply_beside_canary(release)
        self._beside = False

    def _apply_beside_canary(self, release: Release) -> None:
        """The stable Deployment becomes the new release while the canary has all traffic; then it goes."""
        wanted = self._objects(release)
        for one in wanted:
            if one["kind"] in ("Secret", "Deployment"):
                self._put(one)
        self._traffic(release).prepare_stable()
        self._apply(release, {})

    def _traffic(self, release: Release) -> Traffic:
        health = release.settings.get("health") or {}
        account = self._surroundings.account(release.reference)
        return Traffic(
            self.cluster,
            release,
            account,
            self._put,
            wait=self._surroundings.wait,
            clock=self._surroundings.clock,
            deadline=float(health.get("deadline", 300)),
        )


def _stays(value: Object) -> bool:
    return "deletionTimestamp" not in value["metadata"]


def _revision_of_pods(deployment: Object) -> str:
    return str((deployment["spec"]["template"]["metadata"].get("labels") or {}).get(names.REVISION, ""))


def _takes_over(release: Release, stable: Object, canary: Object | None) -> bool:
    """Whether a run ended while the stable Deployment became the release of a canary that may have all traffic."""
    wanted = revision_of_pods(release)
    return canary is not None and _revision_of_pods(canary) == _revision_of_pods(stable) == wanted


def _since(deployment: Object) -> float:
    """Unix time of the newest rollout."""
    from datetime import datetime

    conditions = (deployment.get("status") or {}).get("conditions") or ()
    times = [one.get("lastUpdateTime") for one in conditions if one.get("type") == "Progressing"]
    text = next(filter(None, times), None) or deployment["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else 0.0
