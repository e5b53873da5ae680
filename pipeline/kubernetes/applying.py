"""Applies objects to a cluster: what hands have changed or added is taken back, and nothing of controllers."""

from __future__ import annotations

from pipeline.errors import OutOfReach, UsageError
from pipeline.kubernetes.api import Cluster, Conflict, Object
from pipeline.kubernetes.compare import added_by_hand, is_hand, without
from pipeline.kubernetes.fields import Path, at
from pipeline.kubernetes.scale import is_left_over, is_scaled, leave_count

_TRIES = 5


def put(cluster: Cluster, wanted: Object, *, force: bool) -> None:
    """Applies an object, without what people added by hand."""
    if is_scaled(wanted):
        leave_count(cluster, wanted)
    live = applied(cluster, wanted, force=force)
    for _ in range(_TRIES):
        if not (added := added_by_hand(live)):
            return
        try:
            cluster.replace(without(live, [path for path, _ in added]))
            return
        except OutOfReach:
            # A controller changed it at the same moment.
            live = cluster.get(wanted["kind"], wanted["metadata"]["name"]) or live


def applied(cluster: Cluster, wanted: Object, *, force: bool, dry_run: bool = False) -> Object:
    """What people changed by hand is taken back; Conflict when a controller, or who else applies, owns a field: but
    not an autoscaler that is no more.
    """
    try:
        return cluster.apply(wanted, dry_run=dry_run, force=force)
    except Conflict as error:
        if not all(is_hand(one.manager) or is_left_over(cluster, wanted, one) for one in error.owned):
            raise
        return cluster.apply(wanted, dry_run=dry_run, force=True)


def to_be_taken_back(cluster: Cluster, would: Object) -> list[tuple[Path, str]]:
    """What people added to an object, and who: without what would come again by itself, as what is so by default."""
    if not (added := added_by_hand(would)):
        return []
    try:
        left = cluster.replace(without(would, [path for path, _ in added]), dry_run=True)
    except (OutOfReach, UsageError):
        # It cannot be told now: the run that takes it back says why not.
        return added
    return [(path, manager) for path, manager in added if at(left, path) != at(would, path)]
