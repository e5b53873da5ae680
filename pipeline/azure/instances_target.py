"""One service as a container group: a release takes the place of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pipeline.azure import instances_bodies as bodies
from pipeline.azure.calls import Operation
from pipeline.azure.differences import compared
from pipeline.azure.following import following
from pipeline.azure.instances import Instances, Json
from pipeline.azure.online_bodies import IMAGE, REVISION, SERVICE
from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Secret
from pipeline.targets.model import Observation, Release, State
from pipeline.targets.remote import Difference, Endpoint, RemoteTarget, Surroundings

Probe = Callable[[str, int, str, float], str]
"""What is wrong with a service (host, port, path, timeout in seconds); empty for nothing."""


class InstancesTarget(RemoteTarget):
    """`connect` gives the container group when it is asked for the first time."""

    def __init__(
        self,
        service: str,
        spec: Mapping[str, Any],
        connect: Callable[[], Instances],
        surroundings: Surroundings,
        probe: Probe,
    ) -> None:
        self._service, self._spec, self._around = service, spec, surroundings
        self._connect, self._probe = connect, probe
        self._begun: Operation | None = None

    @cached_property
    def instances(self) -> Instances:
        return self._connect()

    # -- what is live -------------------------------------------------------------------------------------------

    def observe(self) -> Observation:
        try:
            live = self.instances.get(patient=False)
        except (OutOfReach, UsageError) as error:
            return Observation("unknown", detail=str(error))
        if live is None or not self._is_ours(live):
            return Observation("absent")
        tags = live.get("tags") or {}
        state, detail = self._state(live)
        return Observation(state, tags.get(REVISION, ""), tags.get(IMAGE, ""), _address(live), detail)

    def _state(self, live: Json) -> tuple[State, str]:
        properties = live.get("properties") or {}
        provisioning = str(properties.get("provisioningState") or "")
        if provisioning in ("Failed", "Canceled", "Unhealthy"):
            says = (self._begun.failure() if self._begun else "") or _events(properties)
            return "failed", says or f"{self.instances.what} {provisioning.lower()}"
        view = properties.get("instanceView") or {}
        if view.get("state") == "Stopped":
            return "stopped", ""
        current, restarts, before = _container(properties)
        if current.get("state") == "Terminated":
            return "failed", f"it ended with exit code {current.get('exitCode')}"
        if restarts and current.get("state") == "Waiting":
            code = before.get("exitCode")
            return "failed", f"it ended with exit code {code}, and was started again {restarts} times"
        if provisioning != "Succeeded" or current.get("state") != "Running":
            return "starting", _events(properties) or str(current.get("detailStatus") or "it is being made")
        return self._answers(properties)

    def _answers(self, properties: Json) -> tuple[State, str]:
        address = properties.get("ipAddress") or {}
        if address.get("type") == "Private":
            # Only the subnet reaches it: its readiness probe is Azure's, and that it runs is all that can be told.
            return "running", "in a subnet: not called from here"
        health = self._spec.get("health") or {}
        host, port = str(address.get("fqdn") or address.get("ip") or ""), _port(properties)
        wrong = self._probe(host, port, health.get("path", "/"), float(health.get("timeout", 5)))
        return ("starting", wrong) if wrong else ("running", "")

    def _is_ours(self, value: Json) -> bool:
        return (value.get("tags") or {}).get(SERVICE) == self._service

    def differences(self, release: Release) -> Sequence[Difference]:
        live = self.instances.get()
        if live is None:
            return ()
        wanted = self._body(release, "")
        secret = {name for name, value in (release.settings.get("env") or {}).items() if isinstance(value, Secret)}
        return compared(bodies.comparable(live), bodies.comparable(wanted), "group", secret=secret)

    # -- the verbs ----------------------------------------------------------------------------------------------

    def rollout(self, release: Release) -> Observation:
        live = self.instances.get()
        if live and not self._is_ours(live) and not self._spec.get("force"):
            raise UsageError(
                f"{self.instances.what} was not made by pipeline for this service",
                remedy="give the target another `name`, or set `force: true` to take it over",
            )
        body = self._body(release, self._spec.get("location") or self.instances.location)
        if live and bodies.must_be_made_anew(live, body):
            self._around.say(f"{self.instances.what} is made anew: Azure cannot change it so")
            self.instances.delete()
            live = None
        if live is None or self._to_be_changed(live, body):
            self._begun = self.instances.put(body)
        return self.observe()

    def _to_be_changed(self, live: Json, body: Json) -> bool:
        properties = live.get("properties") or {}
        stopped = (properties.get("instanceView") or {}).get("state") in ("Stopped", "Failed")
        # What is being changed is changed no second time.
        failed = properties.get("provisioningState") in ("Failed", "Canceled", "Unhealthy")
        return bool(stopped or failed or compared(bodies.comparable(live), bodies.comparable(body), "group"))

    def _body(self, release: Release, location: str) -> Json:
        settings = release.settings
        named = "subnet_name" in settings
        subnet = self.instances.subnet(settings["vnet_name"], settings["subnet_name"]) if named else ""
        account = self._around.account(release.reference)
        return bodies.group(release, self._service, location, account, settings.get("subnet", subnet))

    def endpoint(self, seen: Observation) -> Endpoint | None:
        private = "subnet" in self._spec or "subnet_name" in self._spec
        return None if private else Endpoint(f"{seen.address}/score")

    def stop(self) -> Observation:
        """It costs nothing then, and keeps its settings; a new start may give it another address."""
        live = self.instances.get()
        if live and self._is_ours(live) and self._state(live)[0] != "stopped":
            self.instances.stop()
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        live = self.instances.get()
        if live is None or not self._is_ours(live) or lines == 0:
            return iter(())
        if not follow:
            return iter(self.instances.logs(bodies.CONTAINER, lines))
        return following(
            lambda: self.instances.logs(bodies.CONTAINER, None),
            lambda: self.observe().state in ("running", "starting", "unknown"),
            lines,
            self._around.wait,
        )


def _container(properties: Mapping[str, Any]) -> tuple[Json, int, Json]:
    """The service's container: how it is, how often it was started again, and how it was before."""
    for one in properties.get("containers") or ():
        if one.get("name") == bodies.CONTAINER:
            view = (one.get("properties") or {}).get("instanceView") or {}
            return view.get("currentState") or {}, int(view.get("restartCount") or 0), view.get("previousState") or {}
    return {}, 0, {}


def _events(properties: Mapping[str, Any]) -> str:
    """The last warning of Azure, as of an image that cannot be pulled."""
    views = [properties.get("instanceView") or {}]
    views += [(one.get("properties") or {}).get("instanceView") or {} for one in properties.get("containers") or ()]
    warnings = [event for view in views for event in view.get("events") or () if event.get("type") == "Warning"]
    return str(warnings[-1].get("message") or "") if warnings else ""


def _port(properties: Mapping[str, Any]) -> int:
    ports = (properties.get("ipAddress") or {}).get("ports") or [{}]
    return int(ports[0].get("port") or 80)


def _address(live: Json) -> str:
    properties = live.get("properties") or {}
    address = properties.get("ipAddress") or {}
    host = address.get("fqdn") or address.get("ip")
    return f"http://{host}:{_port(properties)}" if host else ""
