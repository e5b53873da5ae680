"""The rights without which no rollout ends well, and which of them are granted (RBAC)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.kubernetes.api import RESOURCES, Cluster, Forbidden, Right

_ALWAYS: Mapping[str, Sequence[str]] = {
    "Deployment": ("get", "list", "create", "patch", "delete"),
    "Service": ("get", "create", "patch", "delete"),
    "Secret": ("get", "list", "create", "patch"),
    "Ingress": ("get", "list"),
    "HorizontalPodAutoscaler": ("list",),
    "Pod": ("list",),
}
_ASKED_FOR = {"ingress": "Ingress", "autoscale": "HorizontalPodAutoscaler"}


def needed(spec: Mapping[str, Any], *, scores: bool) -> list[Right]:
    """For a target of these settings; with `scores` for requests through the API server, too.

    Rights that only some rollouts need (docs/kubernetes.md lists all) are named when they are.
    """
    found = [_right(kind, verb) for kind, verbs in _ALWAYS.items() for verb in verbs]
    found += [
        _right(kind, verb) for name, kind in _ASKED_FOR.items() if name in spec for verb in ("get", "create", "patch")
    ]
    return [*found, Right("create", "services/proxy")] if scores else found


def check(cluster: Cluster, spec: Mapping[str, Any], *, scores: bool) -> None:
    """Raises Forbidden that names every right that is missing."""
    wanted = needed(spec, scores=scores)
    if not (lacking := cluster.lacking(wanted)):
        return
    verbs: dict[str, list[str]] = {}
    for right in lacking:
        verbs.setdefault(right.name, []).append(right.verb)
    told = "; ".join(f"{', '.join(every)} {name}" for name, every in verbs.items())
    grants = [f"--verb={','.join(every)} --resource={name}" for name, every in verbs.items()]
    grant = f"kubectl create role pipeline -n {cluster.namespace} {grants[0]}"
    more = " and so on" if len(grants) > 1 else ""
    # Nobody has rights in what is not there, but for those who may everything.
    see = "see that the namespace is there, and " if lacking == wanted else ""
    raise Forbidden(
        f"rights are missing in the namespace {cluster.namespace}: {told}",
        remedy=f"{see}grant them, as with '{grant}'{more}, and a role binding",
    )


def _right(kind: str, verb: str) -> Right:
    resource = RESOURCES[kind]
    parts = resource.prefix.strip("/").split("/")
    return Right(verb, resource.plural, parts[1] if parts[0] == "apis" else "")


def not_granted(wanted: Sequence[Right], rules: Iterable[Mapping[str, Any]]) -> list[Right]:
    """Those that none of the rules gives (SubjectRulesReviewStatus, `resourceRules`).

    Of a rule for some names only it is taken that they are the right ones.
    """
    every = list(rules)
    return [right for right in wanted if not any(_gives(rule, right) for rule in every)]


def _gives(rule: Mapping[str, Any], right: Right) -> bool:
    part = right.resource.partition("/")[2]
    offered = {"verbs": {right.verb}, "apiGroups": {right.group}, "resources": {right.resource}}
    if part:
        offered["resources"].add(f"*/{part}")
    return all(({"*"} | those) & {*(rule.get(name) or ())} for name, those in offered.items())
