"""Whether a cluster has image volumes (KEP-4639): from Kubernetes 1.35 on, and from 1.31 on where ImageVolume is on."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.errors import UsageError
from pipeline.kubernetes.api import Cluster, Object

_FIRST = (1, 31)
_DROPPED = "must specify a volume type"
"""What the API server says of a volume whose only field it has taken away, as it does with gates that are off."""
_PROBE = "pipeline-images-probe"


def check(cluster: Cluster, folders: Collection[str], images: Collection[str]) -> None:
    """Raises UsageError where a cluster cannot mount images at these folders; changes nothing there."""
    if not folders:
        return
    if (version := cluster.version()) < _FIRST:
        known = "Kubernetes " + ".".join(map(str, version))
        raise _none(f"the cluster is {known}, and image volumes came with 1.31", folders)
    wanted = _probe(next(iter(images), "registry.invalid/model"))
    try:
        made = cluster.apply(wanted, dry_run=True)
    except UsageError as error:
        if _DROPPED in error.message:
            raise _off(folders) from None
        # Some rule of the cluster's is about other things: what is rolled out may keep to it.
        return
    volumes = made["spec"]["template"]["spec"].get("volumes") or [{}]
    if not any("image" in volume for volume in volumes):
        raise _off(folders)


def _probe(image: str) -> Object:
    """As small as a Deployment with an image volume can be."""
    labels = {"app": _PROBE}
    container = {"name": "service", "image": image, "volumeMounts": [{"name": "model", "mountPath": "/model"}]}
    pod = {"containers": [container], "volumes": [{"name": "model", "image": {"reference": image}}]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": _PROBE}, "spec": spec}


def _off(folders: Collection[str]) -> UsageError:
    return _none("its feature gate ImageVolume is off, which is on by itself from Kubernetes 1.35 on", folders)


def _none(why: str, folders: Collection[str]) -> UsageError:
    place = sorted(folders)[0]
    return UsageError(
        f"the cluster has no image volumes, to mount {', '.join(sorted(folders))} from: {why}",
        remedy="leave `mount: true` out of the model's layer, so that the image holds it, "
        f"or mount another volume there, as with `volumes: {{{place}: {{claim: NAME}}}}`",
    )
