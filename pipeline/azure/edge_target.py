"""One service as a module of an IoT Edge device, or as a deployment manifest in a file that others apply."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pipeline.azure import edge_manifest as manifests
from pipeline.azure.differences import compared
from pipeline.azure.edge_manifest import IMAGE, REVISION, SERVICE, Json
from pipeline.azure.following import following
from pipeline.azure.hub import Hub
from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Secret
from pipeline.targets.model import Observation, Release, State
from pipeline.targets.remote import Difference, Endpoint, RemoteTarget, Surroundings

_FAILED = ("failed", "backoff", "unhealthy", "dead")
_REFUSED = (400, 412, 417, 500)
"""Codes of `lastDesiredStatus` that end an attempt ("Properties of the IoT Edge agent and hub module twins")."""


class FileTarget(RemoteTarget):
    """A deployment manifest in a file; who gives it to devices is not known here."""

    def __init__(self, service: str, spec: Mapping[str, Any], surroundings: Surroundings) -> None:
        self._service, self._spec, self._around = service, spec, surroundings
        self._path = surroundings.folder / spec["file"]

    def observe(self) -> Observation:
        env = _marks(self._module())
        if env.get(SERVICE) != self._service:
            return Observation("absent")
        detail = f"written to {self._spec['file']}; a device runs it when it is applied there"
        return Observation("running", env.get(REVISION, ""), env.get(IMAGE, ""), str(self._spec["file"]), detail)

    def differences(self, release: Release) -> Sequence[Difference]:
        live = self._module()
        wanted = manifests.module(release, secrets=False)
        return compared(_comparable(live), _comparable(wanted), "module") if live else ()

    def rollout(self, release: Release) -> Observation:
        text = rendered(release, self._around)
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            raise UsageError(
                f"{self._spec['file']}: {error.strerror}", remedy="name a `file` that can be written"
            ) from None
        return self.observe()

    def endpoint(self, seen: Observation) -> Endpoint | None:  # noqa: ARG002
        return None

    def stop(self) -> Observation:
        if self.observe().state != "absent":
            self._path.unlink(missing_ok=True)
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:  # noqa: ARG002
        return iter(())

    def _module(self) -> Json:
        try:
            value: Any = json.loads(self._path.read_text(encoding="utf-8"))
            agent = value["modulesContent"]["$edgeAgent"]["properties.desired"]
            found: Json = agent["modules"][manifests.module_name(self._service, self._spec)]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return found


class DeviceTarget(RemoteTarget):
    """A module of a device, which an IoT hub tells what to run; `connect` gives the hub when it is asked first."""

    def __init__(
        self, service: str, spec: Mapping[str, Any], connect: Callable[[], Hub], surroundings: Surroundings
    ) -> None:
        self._service, self._spec, self._around = service, spec, surroundings
        self._connect, self._device = connect, str(spec["device"])
        self._name = manifests.module_name(service, spec)

    @cached_property
    def hub(self) -> Hub:
        return self._connect()

    def observe(self) -> Observation:
        try:
            twin = self.hub.twin(self._device, "$edgeAgent", patient=False)
        except (OutOfReach, UsageError) as error:
            return Observation("unknown", detail=str(error))
        if twin is None:
            return Observation("absent", detail=f"{self._spec['hub']} has no IoT Edge device {self._device}")
        desired, reported = _desired(twin), (twin.get("properties") or {}).get("reported") or {}
        wanted = (desired.get("modules") or {}).get(self._name) or {}
        env = _marks(wanted)
        if env.get(SERVICE) != self._service:
            return Observation("absent")
        state, detail = self._state(desired, reported, wanted)
        address = f"{self._device}/{self._name}"
        return Observation(state, env.get(REVISION, ""), env.get(IMAGE, ""), address, detail)

    def _state(self, desired: Json, reported: Json, wanted: Json) -> tuple[State, str]:
        if wanted.get("status") == "stopped":
            return "stopped", ""
        if int(reported.get("lastDesiredVersion") or 0) < int(desired.get("$version") or 0):
            return "starting", "the device has not heard of it yet"
        last = reported.get("lastDesiredStatus") or {}
        if last.get("code") in _REFUSED:
            return "failed", f"the device says: {last.get('description') or last['code']}"
        now = (reported.get("modules") or {}).get(self._name) or {}
        runs = now.get("runtimeStatus")
        if runs in _FAILED:
            says = now.get("statusDescription") or runs
            return "failed", f"{says}, exit code {now.get('exitCode')}" if now.get("exitCode") else str(says)
        image = (now.get("settings") or {}).get("image")
        if runs == "running" and image == wanted["settings"]["image"]:
            return "running", f"on the device {self._device}: not scored from here"
        return "starting", str(last.get("description") or runs or "the device is at it")

    def differences(self, release: Release) -> Sequence[Difference]:
        live = (_desired(self.hub.twin(self._device, "$edgeAgent")).get("modules") or {}).get(self._name)
        if not live:
            return ()
        secret = {name for name, value in (release.settings.get("env") or {}).items() if isinstance(value, Secret)}
        wanted = manifests.module(release, secrets=True)
        return compared(_comparable(live), _comparable(wanted), "module", secret=secret)

    def rollout(self, release: Release) -> Observation:
        """Beside the device's other modules, which stay as they are."""
        agent = self.hub.twin(self._device, "$edgeAgent")
        if agent is None:
            raise UsageError(
                f"{self._spec['hub']} has no IoT Edge device {self._device}",
                remedy="register it, with `edgeEnabled`, or correct `device`",
            )
        live = (_desired(agent).get("modules") or {}).get(self._name)
        if live and _marks(live).get(SERVICE) != self._service and not self._spec.get("force"):
            raise UsageError(
                f"the module {self._name} of {self._device} was not made by pipeline for this service",
                remedy="give the target another `module`, or set `force: true` to take it over",
            )
        hub = self.hub.twin(self._device, "$edgeHub")
        before = {"agent": _desired(agent), "hub": _desired(hub)}
        account = self._around.account(release.reference)
        wanted = manifests.manifest(release, account, secrets=True, before=before)
        if wanted != manifests.content(*(_bare(before[name]) for name in ("agent", "hub"))):
            self.hub.apply(self._device, wanted)
        return self.observe()

    def endpoint(self, seen: Observation) -> Endpoint | None:  # noqa: ARG002
        """Devices are behind their own networks."""
        return None

    def stop(self) -> Observation:
        agent, hub = (_bare(_desired(self.hub.twin(self._device, one))) for one in ("$edgeAgent", "$edgeHub"))
        live = (agent.get("modules") or {}).get(self._name)
        if live and _marks(live).get(SERVICE) == self._service and live.get("status") != "stopped":
            agent["modules"] = {**agent["modules"], self._name: {**live, "status": "stopped"}}
            self.hub.apply(self._device, manifests.content(agent, hub))
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        if self.observe().state in ("absent", "unknown") or lines == 0:
            return iter(())
        if not follow:
            return iter(self._read(lines))
        lives = ("running", "starting", "unknown")
        return following(lambda: self._read(None), lambda: self.observe().state in lives, lines, self._around.wait)

    def _read(self, lines: int | None) -> list[str]:
        """By the agent's method GetModuleLogs ("Retrieve logs from IoT Edge deployments")."""
        item = {"id": f"^{self._name}$", "filter": {"tail": lines} if lines is not None else {}}
        asked = {"schemaVersion": "1.0", "items": [item], "encoding": "none", "contentType": "text"}
        found = self.hub.call(self._device, "GetModuleLogs", asked) or []
        return [line for one in found for line in str(one.get("payload") or "").splitlines()]


def rendered(release: Release, surroundings: Surroundings) -> str:
    """A deployment manifest as JSON; secrets are references such as ${NAME}."""
    account = surroundings.account(release.reference)
    return json.dumps(manifests.manifest(release, account, secrets=False), indent=2) + "\n"


def _desired(twin: Json | None) -> Json:
    return ((twin or {}).get("properties") or {}).get("desired") or {}


def _bare(desired: Json) -> Json:
    return {name: value for name, value in desired.items() if not name.startswith("$")}


def _marks(module: Json) -> dict[str, str]:
    return {name: str(one.get("value", "")) for name, one in (module.get("env") or {}).items()}


def _comparable(module: Json) -> Json:
    return {**module, "env": {}, "environmentVariables": _marks(module)}
