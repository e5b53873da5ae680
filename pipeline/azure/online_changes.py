"""Long changes of an endpoint: its settings, its traffic, a deployment that is being made or deleted."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.azure.calls import Operation
from pipeline.azure.online import Json, Online
from pipeline.errors import RolloutError, UsageError

_SETTLED = 900.0
"""Seconds that an endpoint, or its traffic, may take to be changed."""


def properties(value: Json | None) -> Json:
    return (value or {}).get("properties") or {}


def state_of(value: Json | None) -> str:
    """Azure's provisioning state; empty where there is none."""
    return str(properties(value).get("provisioningState") or "")


def kept(endpoint: Json) -> Json:
    """What a body that changes an endpoint must repeat: PUT takes away what it does not name."""
    names = ("authMode", "description", "properties", "publicNetworkAccess", "compute", "traffic", "mirrorTraffic")
    return {key: value for key, value in properties(endpoint).items() if key in names and value is not None}


def put(online: Online, body: Json) -> None:
    """Makes or changes the endpoint, and waits until that is done. UsageError in Azure's words."""
    operation = online.put(body)

    def look() -> str:
        seen = online.get(patient=False)
        return state_of(seen) if seen else "Creating"

    try:
        online.calls.settle(online.what(), look, operation, _SETTLED)
    except RolloutError as error:
        # The release itself is not what is wrong: there is nothing to roll back.
        raise UsageError(error.message, remedy=error.remedy or "see the endpoint in Azure ML's studio") from None


def route(online: Online, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> None:
    """Sends so many percent to each deployment, and copies to those of `mirror`."""
    live = online.get()
    if live is None:
        raise UsageError(f"{online.what()} was deleted by others", remedy="run again")
    now = properties(live)
    same = (now.get("traffic") or {}) == traffic and (now.get("mirrorTraffic") or {}) == (mirror or {})
    if same and state_of(live) == "Succeeded":
        return
    body = {key: live[key] for key in ("location", "tags", "kind", "sku") if live.get(key)}
    if identity := live.get("identity"):
        owned: Json = {one: {} for one in identity.get("userAssignedIdentities") or ()}
        body["identity"] = {"type": identity["type"], **({"userAssignedIdentities": owned} if owned else {})}
    put(online, {**body, "properties": {**kept(live), "traffic": dict(traffic), "mirrorTraffic": dict(mirror or {})}})


def settle(online: Online, name: str, operation: Operation | None, seconds: float) -> None:
    """Waits for a deployment that is being made. RolloutError in Azure's words."""

    def look() -> str:
        seen = online.deployment(name, patient=False)
        return state_of(seen) if seen else "Creating"

    calls = online.calls
    calls.settle(online.what(name), look, operation or Operation(calls.arm, {}), seconds)


def delete(online: Online, name: str) -> None:
    """Deletes a deployment, and waits until it is gone."""
    operation = online.delete_deployment(name)

    def look() -> str | None:
        seen = online.deployment(name, patient=False)
        return None if seen is None else "Failed" if state_of(seen) == "Failed" and operation.failure() else "Deleting"

    online.calls.settle(f"deleting {online.what(name)}", look, operation, _SETTLED)


def pull_remedy(endpoint: Json, words: str, reference: str) -> str:
    """What helps where the image cannot be pulled, in words; empty where something else failed."""
    told = words.lower()
    pulled = any(word in told for word in ("acr", "pull", "container registry", "image"))
    if not pulled or not any(
        word in told for word in ("unauthorized", "denied", "403", "401", "acrpull", "permission")
    ):
        return ""
    identity = endpoint.get("identity") or {}
    owned = next(iter(identity.get("userAssignedIdentities") or ()), "")
    who = owned or f"its own identity (principal {identity.get('principalId') or 'unknown'})"
    registry = reference.partition("/")[0]
    return f"the endpoint pulls as {who}: give it the role AcrPull on {registry}"
