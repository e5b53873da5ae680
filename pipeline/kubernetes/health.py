"""How a Deployment is, and why its pods are not ready, in the cluster's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import UsageError
from pipeline.kubernetes import names
from pipeline.kubernetes.api import Cluster, Object
from pipeline.kubernetes.quota import EXCEEDED, waiting_helps
from pipeline.noun import noun
from pipeline.targets.model import State

_AT_ONCE = {
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
"""Reasons (container state `waiting`) that no waiting mends."""
_NO_IMAGE = re.compile(
    r"not found|manifest unknown|unauthorized|denied|forbidden|no basic auth|x509|no match for platform", re.I
)
_MISSES = re.compile(r'(secret|configmap) "([^"]+)" not found')
_NO_BEGINNING = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_NUMBER, _HASH = "deployment.kubernetes.io/revision", "pod-template-hash"
"""By which a Deployment's controller knows its newest ReplicaSet, and that its pods."""
_RESTARTS = 2
_LONGEST = 400


@noun
class Condition:
    """How pods are: `state`, and why. `pods` are those that are ready."""

    state: State
    detail: str
    pods: int = 0


def condition(cluster: Cluster, deployment: Object, *, patient: bool = False) -> Condition:
    """Of all pods of a Deployment's newest revision.

    Whoever waits by a deadline of their own is `patient`: the Deployment's ran on while the API server was away.
    """
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    ready = int(status.get("availableReplicas") or 0)
    if wanted == 0:
        return Condition("stopped", "it was scaled to no pods")
    if is_complete(deployment):
        return Condition("running", f"in {ready} pod{'s' * (ready != 1)}", ready)
    if refused := _refused(status):
        # Until it is about this spec, it is what became of the one before.
        waits = not _is_seen(deployment) or (EXCEEDED in refused and waiting_helps(cluster, deployment, refused))
        return Condition("starting" if waits else "failed", _cut(refused), ready)
    fatal, why = _pods(cluster, deployment)
    progress = _condition(status, "Progressing")
    late = progress.get("status") == "False" and _is_seen(deployment)
    detail = why or (str(progress.get("message", "")) if late else _how_far(deployment, ready))
    return Condition("failed" if fatal or (late and not patient) else "starting", detail, ready)


def _how_far(deployment: Object, ready: int) -> str:
    """As `kubectl rollout status` tells it: old pods, too, are ready."""
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status") or {}
    new = int(status.get("updatedReplicas") or 0) if _is_seen(deployment) else 0
    old = int(status.get("replicas") or 0) - new
    if old > 0 and new < wanted:
        return f"{new} of {wanted} pods are of this release"
    if old > 0:
        return f"{old} pod{'s' * (old != 1)} of the release before {'is' if old == 1 else 'are'} about to end"
    return f"{ready} of {wanted} pods are ready"


def is_complete(deployment: Object) -> bool:
    """As `kubectl rollout status` sees it."""
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status") or {}
    counts = [status.get(name) or 0 for name in ("updatedReplicas", "replicas", "availableReplicas")]
    return _is_seen(deployment) and counts == [wanted] * 3


def _is_seen(deployment: Object) -> bool:
    """Whether the status is about the spec as it is now."""
    seen = (deployment.get("status") or {}).get("observedGeneration") or 0
    return bool(seen >= deployment["metadata"].get("generation", 0))


def _refused(status: Mapping[str, Any]) -> str:
    """Pods that cannot even be made: a quota, a policy."""
    failure = _condition(status, "ReplicaFailure")
    if failure.get("status") != "True":
        return ""
    message = str(failure.get("message", ""))
    return f"the cluster does not make its pods: {message.partition('forbidden: ')[2] or message}"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((one for one in status.get("conditions") or () if one.get("type") == kind), {})


def pods_of(cluster: Cluster, deployment: Object) -> list[Object]:
    """The pods of its newest revision that are not about to end."""
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    wanted = {key: labels[key] for key in (names.INSTANCE, names.TRACK, names.REVISION) if key in labels}
    selector = ",".join(f"{key}={value}" for key, value in wanted.items())
    found = [pod for pod in cluster.find("Pod", labels=selector) if "deletionTimestamp" not in pod["metadata"]]
    newest = _newest(cluster, deployment, selector) if found else ""
    return [pod for pod in found if not newest or pod["metadata"]["labels"].get(_HASH) == newest]


def _newest(cluster: Cluster, deployment: Object, selector: str) -> str:
    """The hash that pods of its newest ReplicaSet have: pods that a person changed have the release's labels, too.

    Empty where that cannot be told.
    """
    number = (deployment["metadata"].get("annotations") or {}).get(_NUMBER)
    try:
        sets = cluster.find("ReplicaSet", labels=selector) if number else []
    except UsageError:
        return ""
    of = [one["metadata"] for one in sets if (one["metadata"].get("annotations") or {}).get(_NUMBER) == number]
    return next((str(one["labels"].get(_HASH, "")) for one in of), "")


def _pods(cluster: Cluster, deployment: Object) -> tuple[bool, str]:
    """Whether waiting cannot help, and what is wrong with the worst pod."""
    said: list[tuple[bool, str]] = []
    if not _is_seen(deployment):
        # These pods are of what was wanted before.
        return False, ""
    for pod in pods_of(cluster, deployment):
        said += _troubles(cluster, pod)
    return min(said, key=lambda one: not one[0], default=(False, ""))


def _troubles(cluster: Cluster, pod: Object) -> Iterator[tuple[bool, str]]:
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    if _condition(status, "PodScheduled").get("reason") == "Unschedulable":
        # A node may yet come, where the cluster scales.
        yield False, _cut(f"no node fits pod {name}: {_condition(status, 'PodScheduled').get('message', '')}")
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        yield from _container(cluster, name, container)
    begun = any(container.get("containerID") for container in status.get("containerStatuses") or ())
    if not begun and (told := _event(cluster, name, _NO_BEGINNING)):
        yield False, _cut(f"pod {name}: {told}")


def _container(cluster: Cluster, pod: str, container: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    restarts = int(container.get("restartCount") or 0)
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        told = message if reason == "ErrImagePull" else _event(cluster, pod, ("Failed",)) or message
        yield bool(_NO_IMAGE.search(told)), _cut(f"the image cannot be pulled: {told}")
    elif reason in _AT_ONCE:
        yield not _came_since(cluster, message), _cut(f"pod {pod} cannot start ({reason}): {message}")
    elif reason == "CrashLoopBackOff" or (restarts and not container.get("ready")):
        last = (container.get("lastState") or {}).get("terminated") or {}
        times = f"{restarts} time{'s' * (restarts != 1)}"
        yield restarts >= _RESTARTS, f"pod {pod} {_end(last)}, and was started again {times}"
    elif "terminated" in state:
        yield False, f"pod {pod} {_end(state['terminated'])}"
    elif "running" in state and not container.get("ready") and (told := _event(cluster, pod, ("Unhealthy",))):
        yield False, _cut(f"pod {pod} runs and is not ready: {told}")


def _came_since(cluster: Cluster, message: str) -> bool:
    """Whether what a pod misses is there by now, and the kubelet has only not looked again."""
    if not (found := _MISSES.search(message)):
        return False
    kind, name = found.groups()
    try:
        return cluster.get({"secret": "Secret", "configmap": "ConfigMap"}[kind], name) is not None
    except UsageError:
        return False


def _end(terminated: Mapping[str, Any]) -> str:
    reason, code = terminated.get("reason"), terminated.get("exitCode")
    if reason == "OOMKilled":
        return "took more memory than its limit and was killed (OOMKilled)"
    return f"ended with exit code {code}" + (f" ({reason})" if reason not in (None, "Error", "Completed") else "")


def _event(cluster: Cluster, pod: str, reasons: Sequence[str]) -> str:
    """What was last told of a pod for one of these reasons, an error's own words before that it is an error."""
    try:
        found = cluster.find("Event", fields=f"involvedObject.name={pod}")
    except UsageError:
        # Who may not read them still has to learn how the pod is.
        return ""
    told = [one for one in found if one.get("reason") in reasons]
    told.sort(key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))
    long = [one for one in told if len(str(one.get("message", ""))) > len("Error: ImagePullBackOff")]
    return str((long or told or [{}])[-1].get("message", ""))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
