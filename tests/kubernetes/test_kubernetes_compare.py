"""What people added, by the field sets (FieldsV1) that a real API server keeps."""

from __future__ import annotations

from typing import Any

from pipeline.kubernetes.compare import added_by_hand
from pipeline.kubernetes.names import CONTAINER

RESTARTED = "kubectl.kubernetes.io/restartedAt"


def changed(manager: str, annotations: dict[str, str]) -> dict[str, Any]:
    """A Deployment without annotations of ours, as it is once somebody has given its pods the first ones."""
    ours = {"f:spec": {"f:template": {"f:spec": {"f:containers": {f'k:{{"name":"{CONTAINER}"}}': {".": {}}}}}}}
    fields = {".": {}, **{f"f:{name}": {} for name in annotations}}
    theirs = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": fields}}}}
    entries = [{"manager": "pipeline-images", "fieldsV1": ours}, {"manager": manager, "fieldsV1": theirs}]
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": CONTAINER}]}}
    return {"kind": "Deployment", "metadata": {"managedFields": entries}, "spec": {"template": template}}


def test_a_restart_by_kubectl_is_left_alone() -> None:
    assert added_by_hand(changed("kubectl-rollout", {RESTARTED: "2026-01-01T00:00:00Z"})) == []
    both = changed("kubectl-rollout", {RESTARTED: "2026-01-01T00:00:00Z", "team": "x"})
    assert added_by_hand(both) == [(("spec", "template", "metadata", "annotations", "team"), "kubectl-rollout")]


def test_first_annotations_are_taken_as_a_whole() -> None:
    path = ("spec", "template", "metadata", "annotations")
    assert added_by_hand(changed("kubectl-edit", {"team": "x"})) == [(path, "kubectl-edit")]
