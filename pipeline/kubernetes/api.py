"""What is asked of a cluster: objects of one namespace, by server-side apply; and its refusals as errors of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.errors import OutOfReach, PipelineError, UsageError
from pipeline.noun import noun
from pipeline.targets.remote import Answer

Object = dict[str, Any]
"""An object as the API has it, as JSON."""

MANAGER = "pipeline-images"
"""Our name as a field manager: kubernetes.io/docs/reference/using-api/server-side-apply."""


class Resource(NamedTuple):
    """Where objects of a kind are: below `/apis/GROUP/VERSION` (or `/api/v1`), as `plural`."""

    prefix: str
    plural: str


RESOURCES: Mapping[str, Resource] = {
    "ConfigMap": Resource("/api/v1", "configmaps"),
    "Deployment": Resource("/apis/apps/v1", "deployments"),
    "Event": Resource("/api/v1", "events"),
    "HorizontalPodAutoscaler": Resource("/apis/autoscaling/v1", "horizontalpodautoscalers"),
    "Ingress": Resource("/apis/networking.k8s.io/v1", "ingresses"),
    "Pod": Resource("/api/v1", "pods"),
    "ReplicaSet": Resource("/apis/apps/v1", "replicasets"),
    "ResourceQuota": Resource("/api/v1", "resourcequotas"),
    "Secret": Resource("/api/v1", "secrets"),
    "Service": Resource("/api/v1", "services"),
}


def resource_of(kind: str, api_version: str = "") -> Resource:
    """Of an object's kind, in the version that the object names."""
    known = RESOURCES[kind]
    if not api_version:
        return known
    return Resource(f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}", known.plural)


class Right(NamedTuple):
    """To do something with a resource, which may have a part: `create` on `services/proxy`, of an API group."""

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.name}"

    @property
    def name(self) -> str:
        """As kubectl writes it: `deployments.apps`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


class Cluster(Protocol):
    """One namespace of a cluster. Every method raises OutOfReach when nobody answers, and what `refusal` gives.

    `address` is the API server's.
    """

    namespace: str
    address: str

    def get(self, kind: str, name: str) -> Object | None: ...

    def find(self, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        """By selectors, as `app=x,tier=y`."""
        ...

    def apply(self, wanted: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER) -> Object:
        """Server-side apply: the object as it is then, or would be. Conflict when others own a field."""
        ...

    def merge(self, kind: str, name: str, change: Object) -> Object:
        """Changes fields by a merge patch (RFC 7386) with MANAGER as their owner."""
        ...

    def replace(self, changed: Object, *, dry_run: bool = False) -> Object:
        """Puts an object in place of the one of its name and resourceVersion."""
        ...

    def delete(self, kind: str, name: str) -> None:
        """What is not there needs no deletion."""
        ...

    def version(self) -> tuple[int, int]:
        """Of Kubernetes, as (1, 33)."""
        ...

    def lacking(self, wanted: Sequence[Right]) -> list[Right]:
        """Those that we have not in the namespace, whether it is there or not."""
        ...

    def logs(
        self, pod: str, *, previous: bool = False, follow: bool = False, lines: int | None = None
    ) -> Iterator[str]:
        """Of the pod's service container."""
        ...

    def call(
        self, service: str, port: int, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        """POSTs to a service through the API server. OSError when no answer comes."""
        ...


@noun
class Owned:
    """A field that somebody else set, by the manager's name, and whether with `apply`."""

    field: str
    manager: str


class Conflict(UsageError):
    """Fields that others own: `owned` names them."""

    exit_code = 5

    def __init__(self, what: str, owned: Sequence[Owned]) -> None:
        fields = ", ".join(f"{one.field} (of {one.manager})" for one in owned)
        super().__init__(
            f"{what} has fields that others own: {fields}",
            remedy="let the others give them up, or set `force: true` to take them over",
        )
        self.owned = tuple(owned)


class Forbidden(UsageError):
    """A right that is missing, or a quota that is used up."""


class Unauthorized(UsageError):
    """Credentials that the cluster does not accept, or none."""


class Gone(UsageError):
    """The namespace, or what was asked for, is not there."""


_RIGHT = re.compile(
    r'User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?'
)
_NOBODY = "system:anonymous"
_ENDING = "because it is being terminated"
_LOG_IN = "the token may have expired: log in to the cluster again"
_CONFLICT = re.compile(r'conflict with "([^"]*)"')


def refusal(status: int, value: Mapping[str, Any], what: str, namespace: str, who: str = "this user") -> PipelineError:
    """The error for an answer of the API that is none of 200 to 299: `value` is its Status object
    (API conventions, "Response Status Kind"), `what` was asked for, `who` asked.
    """
    message = str(value.get("message") or f"the API server answers with {status}").strip()
    details = value.get("details") or {}
    if status == 401:
        return Unauthorized(
            f"the cluster does not accept the credentials of {who} for {what}: {message}", remedy=_LOG_IN
        )
    if status == 403:
        if _ENDING in message:
            remedy = "wait until it is gone and create it again, or name another one"
            return Gone(f"the namespace '{namespace}' is being deleted", remedy=remedy)
        return _forbidden(message, what, who)
    if status == 404 and details.get("kind") == "namespaces":
        return Gone(
            f"there is no namespace '{namespace}' in the cluster", remedy=f"kubectl create namespace {namespace}"
        )
    if status == 404:
        return Gone(f"{what} is not there: {message}")
    if status == 409 and (owned := _owned(details)):
        return Conflict(what, owned)
    if (status in (408, 409, 429) or status >= 500) and "typed patch object" not in message:
        # 409 without causes: somebody changed it at the same moment.
        return OutOfReach(f"the cluster cannot do it now ({what}): {message}", transient=True)
    remedy = "see the target's settings and `patches`"
    if "field is immutable" in message:
        kind, _, name = what.partition(" ")
        remedy = f"it has to be made anew: 'kubectl delete {kind.lower()} {name} -n {namespace}', then run again"
    return UsageError(f"the cluster does not take {what}: {message}", remedy=remedy)


def _forbidden(message: str, what: str, who: str) -> PipelineError:
    if found := _RIGHT.search(message):
        user, verb, resource, group, namespace = found.groups()
        if user == _NOBODY:
            return Unauthorized(f"the cluster gets no credentials of {who} for {what}", remedy=_LOG_IN)
        name = f"{resource}.{group}" if group else resource
        where = f" in the namespace {namespace}" if namespace else ""
        grant = f"kubectl create role pipeline --verb={verb} --resource={name}" + (
            f" -n {namespace}" if namespace else ""
        )
        return Forbidden(
            f"user {user} may not {verb} {name}{where}", remedy=f"grant it, as with '{grant}' and a role binding"
        )
    if "exceeded quota" in message:
        return Forbidden(
            f"{what}: {message.partition('forbidden: ')[2] or message}", remedy="ask for less, or for a larger quota"
        )
    return Forbidden(f"the cluster forbids {what}: {message}")


def _owned(details: Mapping[str, Any]) -> list[Owned]:
    """The causes of a conflict (reason FieldManagerConflict)."""
    causes = [one for one in details.get("causes") or () if one.get("reason") == "FieldManagerConflict"]
    return [
        Owned(
            str(one.get("field", "")).lstrip("."),
            found.group(1) if (found := _CONFLICT.search(one.get("message", ""))) else "?",
        )
        for one in causes
    ]
