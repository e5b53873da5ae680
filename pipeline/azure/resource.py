"""ARM ids: the paths by which Azure names its resources (Azure's REST reference, "Resource ID")."""

from __future__ import annotations

import re

from pipeline.errors import Location, UsageError
from pipeline.noun import noun

WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
REGISTRY = "Microsoft.ContainerRegistry/registries"

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GROUP = re.compile(r"[\w.()-]{1,90}(?<!\.)")
_NAMES = {WORKSPACE: re.compile(r"[A-Za-z0-9][\w-]{0,254}"), REGISTRY: re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")}
_NOUNS = {WORKSPACE: "a machine-learning workspace", REGISTRY: "a container registry"}


@noun
class ResourceId:
    """A resource: its subscription, its resource group, its type as PROVIDER/TYPE, and its name."""

    subscription: str
    group: str
    type: str
    name: str

    def __str__(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.type}/{self.name}"


def parse(text: str, wanted: str, place: Location | None = None) -> ResourceId:
    """The resource of the type `wanted` (WORKSPACE or REGISTRY) that an ARM id names; UsageError says what is wrong."""
    form = ResourceId("ID", "GROUP", wanted, "NAME")

    def wrong(fact: str) -> UsageError:
        return UsageError(
            f"{text[:200]!r} is no ARM id of {_NOUNS[wanted]}: {fact}", remedy=f"write it as {form}", place=place
        )

    if "://" in text:
        raise wrong("it is an address, and not a path")
    if not text.startswith("/"):
        raise wrong("it does not begin with /")
    parts = text.strip("/").split("/")
    for number, word in enumerate(("subscriptions", "", "resourceGroups", "", "providers")):
        if word and (len(parts) <= number or parts[number].lower() != word.lower()):
            found = f"{parts[number]!r} stands" if len(parts) > number else "it ends"
            raise wrong(f"{found} where '{word}' is wanted")
    if len(parts) != 8:
        raise wrong(f"it has {len(parts)} parts, not 8")
    _, subscription, _, group, _, provider, type_, name = parts
    if f"{provider}/{type_}".lower() != wanted.lower():
        raise wrong(f"it is of the type {provider}/{type_}")
    if not _GUID.fullmatch(subscription):
        raise wrong(f"the subscription {subscription!r} is no GUID")
    if not _GROUP.fullmatch(group):
        raise wrong(f"{group!r} is no name of a resource group")
    if not _NAMES[wanted].fullmatch(name):
        raise wrong(f"{name!r} is no name of {_NOUNS[wanted]}")
    return ResourceId(subscription, group, wanted, name)
