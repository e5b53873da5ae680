"""One service as a managed online endpoint: a deployment for each revision, and the traffic between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pipeline.azure import online_bodies as bodies
from pipeline.azure import online_changes as changes
from pipeline.azure.calls import Operation
from pipeline.azure.differences import compared
from pipeline.azure.following import following
from pipeline.azure.online import Json, Online
from pipeline.azure.online_changes import properties, state_of
from pipeline.errors import OutOfReach, PipelineError, RolloutError, UsageError
from pipeline.manifest.build import seconds
from pipeline.manifest.model import Secret
from pipeline.targets.model import Observation, Release, State
from pipeline.targets.remote import Difference, Endpoint, RemoteTarget, Strategy, Surroundings

_STATES: Mapping[str, State] = {"Succeeded": "running", "Failed": "failed", "Canceled": "failed"}


class OnlineTarget(RemoteTarget):
    """`connect` gives the endpoint when it is asked for the first time; `deadline` is that of health, in seconds."""

    def __init__(
        self, service: str, spec: Mapping[str, Any], connect: Any, surroundings: Surroundings, deadline: float
    ) -> None:
        self._service, self._spec, self._around, self._deadline = service, spec, surroundings, deadline
        self._connect = connect
        self._wanted = self._reference = ""
        self._tags: Mapping[str, str] = {}
        self._begun: Operation | None = None
        self._handed_over = False

    @cached_property
    def online(self) -> Online:
        found: Online = self._connect()
        return found

    # -- what is live -------------------------------------------------------------------------------------------

    def observe(self) -> Observation:
        try:
            return self._observed()
        except (OutOfReach, UsageError) as error:
            return Observation("unknown", detail=str(error))

    def _observed(self) -> Observation:
        endpoint = self.online.get(patient=False)
        if endpoint is None or not self._is_ours(endpoint):
            return Observation("absent")
        seen = self._seen(endpoint)
        if seen is None:
            return Observation("stopped", address=_address(endpoint), detail="the endpoint has no deployment")
        tags = seen.get("tags") or {}
        marks = tags.get(bodies.REVISION, ""), tags.get(bodies.IMAGE, "")
        state = _STATES.get(state_of(seen), "starting")
        if state_of(seen) == "Deleting":
            return Observation("stopped", *marks, _address(endpoint), "it is being deleted")
        return Observation(state, *marks, _address(endpoint), self._detail(state, seen, endpoint))

    def _seen(self, endpoint: Json) -> Json | None:
        """The deployment that is rolled out now, else the one with most of the traffic."""
        if self._wanted:
            found = self.online.deployment(self._wanted, patient=False)
            if found is None and self._begun and self._begun.goes_on():
                return {"tags": self._tags, "properties": {"provisioningState": "Creating"}}
            return found
        traffic = properties(endpoint).get("traffic") or {}
        ours = [one for one in self.online.deployments(patient=False) if self._is_ours(one)]
        return max(ours, key=lambda one: (traffic.get(one["name"], 0), one["name"]), default=None)

    def _detail(self, state: State, seen: Json, endpoint: Json) -> str:
        name = seen.get("name", self._wanted)
        if state != "failed":
            return "" if state == "running" else f"deployment {name} is being made"
        says = self._begun.failure() if self._begun else ""
        remedy = changes.pull_remedy(endpoint, says, self._reference)
        return f"{says or f'deployment {name} failed'}{f'; {remedy}' if remedy else ''}"

    def _is_ours(self, value: Json) -> bool:
        return (value.get("tags") or {}).get(bodies.SERVICE) == self._service

    def differences(self, release: Release) -> Sequence[Difference]:
        endpoint = self.online.get()
        if endpoint is None:
            return ()
        name = bodies.deployment_name(release)
        live = self.online.deployment(name) or self._seen(endpoint)
        wanted_endpoint = self._normal("OnlineEndpoint", bodies.endpoint(release, self._service, ""))
        found = compared(self._normal("OnlineEndpoint", endpoint), wanted_endpoint, "endpoint")
        if live is None:
            return [*found, Difference("deployment", None, name)]
        found += self._changed(release, live)
        share = (properties(endpoint).get("traffic") or {}).get(live["name"], 0)
        return [*found, *([Difference("traffic", f"{share} %", "100 %")] if share != 100 else [])]

    def _changed(self, release: Release, live: Json) -> list[Difference]:
        """What a deployment has otherwise than `release` wants it."""
        name, version, _ = bodies.environment(release, self._service)
        wanted = bodies.deployment(release, self._service, "", self.online.environment_id(name, version))
        secret = {name for name, value in (release.settings.get("env") or {}).items() if isinstance(value, Secret)}
        there, want = (self._normal("OnlineDeployment", one) for one in (live, wanted))
        return compared(there, want, "deployment", secret=secret)

    def _normal(self, name: str, body: Json) -> Json:
        """Without what Azure adds, and without the place: it cannot change."""
        kept: Json = {key: body[key] for key in ("tags", "sku", "properties") if key in body}
        return self.online.normal(name, kept)

    # -- the verbs ----------------------------------------------------------------------------------------------

    def rollout(self, release: Release) -> Observation:
        """Beside what is live, without traffic: that is handed over when it has scored."""
        self._handed_over = False
        self._begin(release)
        return self.observe()

    def rollback(self, release: Release) -> Observation:
        """By traffic where its deployment is still there; else it is made again, and gets the traffic when well."""
        self._begin(release)
        name = self._wanted
        try:
            changes.settle(self.online, name, self._begun, self._deadline)
        except RolloutError:
            self._handed_over = True
            return self.observe()
        changes.route(self.online, {name: 100})
        self._handed_over = True
        self._clear(name)
        return self.observe()

    def _begin(self, release: Release) -> None:
        name = bodies.deployment_name(release)
        location = self._spec.get("location") or self.online.location
        self._endpoint(release, location)
        environment = self.online.environment(*bodies.environment(release, self._service))
        body = bodies.deployment(release, self._service, location, environment)
        live = self.online.deployment(name)
        self._wanted, self._reference, self._tags, self._begun = name, release.reference, body["tags"], None
        going = live and state_of(live) not in ("Failed", "Canceled", "Deleting")
        if not going or (live and self._changed(release, live)):
            self._begun = self.online.put_deployment(name, body)

    def _endpoint(self, release: Release, location: str) -> None:
        live = self.online.get()
        if live and not self._is_ours(live) and not self._spec.get("force"):
            raise UsageError(
                f"{self.online.what()} was not made by pipeline for this service",
                remedy="give the target another `endpoint`, or set `force: true` to take it over",
            )
        body = bodies.endpoint(release, self._service, location)
        going = live and state_of(live) not in ("Failed", "Canceled")
        both = [self._normal("OnlineEndpoint", one) for one in (live or {}, body)]
        if live and going and not compared(both[0], both[1], "endpoint"):
            return
        if live:
            body["properties"] = {**changes.kept(live), **body["properties"]}
        changes.put(self.online, body)

    # -- scoring and traffic ------------------------------------------------------------------------------------

    def endpoint(self, seen: Observation) -> Endpoint:
        """The very deployment that was rolled out, whatever its traffic (header azureml-model-deployment)."""
        endpoint = self.online.get() or {}
        url = str(properties(endpoint).get("scoringUri") or f"{seen.address}/score")
        key = self.online.credential(str(properties(endpoint).get("authMode") or "Key"))
        named = {"azureml-model-deployment": self._wanted} if self._wanted else {}
        return Endpoint(url, {"Authorization": Secret(f"Bearer {key.reveal()}"), **named})

    def strategy(self, release: Release) -> Strategy | None:
        if self._handed_over:
            return None
        traffic = properties(self.online.get() or {}).get("traffic") or {}
        others = sum(part for name, part in traffic.items() if name != self._wanted)
        if not others:
            return Strategy((100,), pause=0.0)
        given = release.settings.get("strategy") or {}
        steps = tuple(given.get("steps", (100,)))
        # At no traffic of its own it gets copies of what the others get.
        steps = (0, *steps) if "mirror" in given else steps
        latency = given.get("latency")
        return Strategy(
            steps,
            seconds(given.get("pause", 60)) if len(steps) > 1 else 0.0,
            float(given.get("errors", 0.01)),
            None if latency is None else seconds(latency),
        )

    def shift(self, release: Release, percent: int) -> None:
        name = bodies.deployment_name(release)
        live = self.online.get() or {}
        traffic = bodies.shares(properties(live).get("traffic") or {}, name, percent)
        mirror = {name: int(release.settings["strategy"]["mirror"])} if percent == 0 else {}
        changes.route(self.online, traffic, mirror)
        said = f"copies of {mirror[name]} % of the requests" if mirror else f"{percent} % of the traffic"
        self._around.say(f"{said} to deployment {name}")
        if percent == 100:
            self._handed_over = True
            self._clear(name)

    def _clear(self, keep: str) -> None:
        """Deletes the deployments of other revisions; with `keep_previous` the newest of them stays, no traffic."""
        others = [one["name"] for one in self.online.deployments() if self._is_ours(one) and one["name"] != keep]
        if self._spec.get("keep_previous"):
            others = [name for name in others if name != self._previous(others)]
        for name in others:
            try:
                self.online.delete_deployment(name)
            except PipelineError as error:
                self._around.say(f"deployment {name} could not be deleted: {error}")

    def _previous(self, names: Sequence[str]) -> str:
        made = {
            one["name"]: str((one.get("systemData") or {}).get("createdAt", "")) for one in self.online.deployments()
        }
        return max(names, key=lambda name: made.get(name, ""), default="")

    def stop(self) -> Observation:
        """Its deployments go, for they cost while they are there; the endpoint, with its address and keys, stays."""
        endpoint = self.online.get()
        if endpoint is None or not self._is_ours(endpoint):
            return self.observe()
        if properties(endpoint).get("traffic"):
            changes.route(self.online, {})
        for name in [one["name"] for one in self.online.deployments() if self._is_ours(one)]:
            changes.delete(self.online, name)
        self._wanted, self._begun = "", None
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        endpoint = self.online.get()
        seen = self._seen(endpoint) if endpoint and self._is_ours(endpoint) else None
        if seen is None or lines == 0 or not (name := seen.get("name")):
            return iter(())
        if not follow:
            return iter(self.online.logs(name, lines))
        return following(
            lambda: self.online.logs(name, None),
            lambda: self.online.deployment(name) is not None,
            lines,
            self._around.wait,
        )


def _address(endpoint: Json) -> str:
    return str(properties(endpoint).get("scoringUri") or "").removesuffix("/score")
