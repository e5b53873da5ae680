"""What the pods of a Deployment have written."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

from pipeline.errors import OutOfReach, PipelineError
from pipeline.kubernetes.api import Cluster, Object
from pipeline.kubernetes.health import pods_of


def output(cluster: Cluster, deployment: Object, *, follow: bool, lines: int | None) -> Iterator[str]:
    """The lines of all pods of the newest revision, each after its pod's name where there are several.

    Of a pod that is not ready because its service ended, what was written before the end.
    """
    pods = pods_of(cluster, deployment)
    tell = len(pods) > 1
    if follow:
        yield from _together(cluster, pods, lines, tell)
        return
    # The one that fails is what a reader is after: its lines come last.
    for pod in sorted(pods, key=_restarts):
        for line in _of(cluster, pod, lines):
            yield _told(pod, line, tell)


def _restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((int(one.get("restartCount") or 0) for one in statuses), default=0)


def _of(cluster: Cluster, pod: Object, lines: int | None) -> Iterator[str]:
    name = pod["metadata"]["name"]
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    waits = any("waiting" in (one.get("state") or {}) for one in statuses)
    try:
        yield from cluster.logs(name, previous=bool(waits and _restarts(pod)), lines=lines)
    except OutOfReach:
        if not (ended := _last_words(statuses)):
            raise
        yield from ended[-lines:] if lines else ended


def _last_words(statuses: Sequence[Object]) -> list[str]:
    """The end of what was written before the service ended, as the pod's status keeps it: its node may be away."""
    states = [state for one in statuses for state in (one.get("state") or {}, one.get("lastState") or {})]
    messages = [str((state.get("terminated") or {}).get("message") or "") for state in states]
    return next(filter(None, messages), "").splitlines()


def _told(pod: Object, line: str, tell: bool) -> str:
    return f"{pod['metadata']['name'].rpartition('-')[2]}: {line}" if tell else line


def _together(cluster: Cluster, pods: list[Object], lines: int | None, tell: bool) -> Iterator[str]:
    """As they are written, until every pod has ended."""
    written: queue.Queue[str | None] = queue.Queue()

    def read(pod: Object) -> None:
        try:
            for line in cluster.logs(pod["metadata"]["name"], follow=True, lines=lines):
                written.put(_told(pod, line, tell))
        except PipelineError as error:
            written.put(_told(pod, f"({error.message})", tell))
        finally:
            written.put(None)

    for pod in pods:
        threading.Thread(target=read, args=(pod,), daemon=True).start()
    left = len(pods)
    while left:
        line = written.get()
        if line is None:
            left -= 1
        else:
            yield line
