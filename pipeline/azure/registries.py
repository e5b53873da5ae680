"""Which container registry is meant: a workspace's own, or one by its name, in the right subscription."""

from __future__ import annotations

from pipeline.azure.arm import Arm, NotThere
from pipeline.azure.resource import REGISTRY, WORKSPACE, ResourceId, parse
from pipeline.errors import Location, OutOfReach, ResolveError
from pipeline.manifest.words import listed, suggestion
from pipeline.noun import noun

_WORKSPACES = "2024-04-01"
_REGISTRIES = "2023-07-01"
_SUBSCRIPTIONS = "2022-12-01"
_DEPLOY_FIRST = "Azure makes it with the first training or deployment there: run one, or name a registry by its address"


@noun
class Found:
    """A registry: its ARM id, and the host that it is called by."""

    id: ResourceId
    host: str


def of_workspace(arm: Arm, text: str, place: Location | None = None) -> Found:
    """The registry of a workspace, named by its ARM id. UsageError for a malformed id; ResolveError for none."""
    workspace = parse(text, WORKSPACE, place)
    value = arm.get(str(workspace), _WORKSPACES, f"the workspace {workspace.name}")
    named = (value.get("properties") or {}).get("containerRegistry")
    if not named:
        fact = f"the workspace {workspace.name} has no container registry yet"
        raise ResolveError(fact, remedy=_DEPLOY_FIRST, place=place)
    return by_id(arm, parse(str(named), REGISTRY))


def by_id(arm: Arm, id_: ResourceId) -> Found:
    """A registry by its ARM id, with the host that Azure says. Who may not read it goes by its name's usual host."""
    try:
        value = arm.get(str(id_), _REGISTRIES, f"the registry {id_.name}")
    except OutOfReach as error:
        if "(403" not in error.message:
            raise
        value = {}
    usual = f"{id_.name.lower()}.{arm.identity.cloud.suffix}"
    return Found(id_, str((value.get("properties") or {}).get("loginServer") or usual).lower())


def by_host(arm: Arm, host: str, subscription: str = "", group: str = "") -> Found:
    """A registry by its host, looked for in the subscription, or in all that one sees. ResolveError for none."""
    name = host.partition(".")[0]
    if subscription and group:
        return Found(ResourceId(subscription, group, REGISTRY, name), host)
    seen = [subscription] if subscription else [one["subscriptionId"] for one in subscriptions(arm)]
    names: list[str] = []
    for each in seen:
        path = f"/subscriptions/{each}/providers/{REGISTRY}"
        try:
            entries = arm.listed(path, _REGISTRIES, f"the registries of the subscription {each}")
        except NotThere:
            if subscription:
                raise
            continue
        for entry in entries:
            server = str((entry.get("properties") or {}).get("loginServer") or "").lower()
            if server == host or (not server and entry.get("name", "").lower() == name):
                return Found(parse(entry["id"], REGISTRY), host)
            names.append(entry.get("name", ""))
    where = f"the subscription {subscription}" if subscription else f"{len(seen)} subscriptions"
    remedy = suggestion(name, names, "there are") or "choose another one by `subscription`, or check who signs in"
    raise ResolveError(f"{host} is not among the registries of {where}", remedy=remedy)


def subscriptions(arm: Arm) -> list[dict[str, str]]:
    """All enabled subscriptions that one sees, as Azure lists them. ResolveError for none."""
    found = arm.listed("/subscriptions", _SUBSCRIPTIONS, "your subscriptions")
    enabled = [one for one in found if one.get("state", "Enabled") == "Enabled" and one.get("subscriptionId")]
    if not enabled:
        names = listed([str(one.get("displayName", "")) for one in found]) if found else "none"
        raise ResolveError(f"{arm.identity} sees no enabled subscription ({names})", remedy="sign in as somebody else")
    return enabled
