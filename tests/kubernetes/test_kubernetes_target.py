"""The kubernetes target above a cluster in memory: rollouts, drift, owners, canaries, pins, refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from kubernetes_releases import ACCOUNT, Time, release, target_in

from pipeline.errors import RolloutError, UsageError
from pipeline.kubernetes.api import Conflict, Forbidden, Object
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.kubernetes.objects import env_secret_name
from pipeline.manifest.model import Secret
from pipeline.stages import gate
from pipeline.targets.model import Release

NAME = "shop-prod"


def names(cluster: MemoryCluster, kind: str) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.find(kind)]


def live(cluster: MemoryCluster, name: str = NAME, kind: str = "Deployment") -> Object:
    found = cluster.get(kind, name)
    assert found is not None
    return found


def roll(cluster: MemoryCluster, time: Time, wanted: Release, score: Any = None) -> gate.Outcome:
    target = target_in(cluster, time, **{name: one for name, one in wanted.settings.items() if name != "image"})
    return gate.release(
        target, wanted, verified=target.verified(), deadline=60, score=score, clock=time, wait=time.wait
    )


def test_a_release_goes_out_once_and_is_known_everywhere(cluster: MemoryCluster, time: Time) -> None:
    one = release("one", replicas=2)
    roll(cluster, time, one)
    again = target_in(cluster, time, replicas=2)
    seen = again.observe()
    assert (seen.state, seen.revision, seen.image) == ("running", one.revision, one.image)
    assert seen.detail == "in 2 pods"
    assert seen.address == "shop-prod.default:80"
    assert again.differences(one) == []
    # Another machine knows what passed from the cluster.
    assert gate.is_live(again, one, again.verified())
    again.rollout(one)
    assert live(cluster)["metadata"]["generation"] == 1


def test_what_fails_gives_way_to_what_passed_last(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one"), release("two")
    roll(cluster, time, one)
    waiting = {"reason": "ErrImagePull", "message": "manifest unknown: it is not in the registry"}
    status = {"containerStatuses": [{"name": "service", "ready": False, "state": {"waiting": waiting}}]}
    cluster.behaves = lambda d: status if d["metadata"]["annotations"]["pipeline-images/image"] == two.image else {}
    said = f"the image cannot be pulled: manifest unknown.*verified revision {one.revision} is live again"
    with pytest.raises(RolloutError, match=said):
        roll(cluster, time, two)
    assert target_in(cluster, time).observe().revision == one.revision


TROUBLES: list[tuple[Mapping[str, Any], str]] = [
    (
        {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                         "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}]},
        r"after 60 s: no node fits pod shop-prod-0: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu",
    ),
    (
        {"containerStatuses": [{"restartCount": 2, "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                                "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}]},
        r"pod shop-prod-0 ended with exit code 3, and was started again 2 times",
    ),
    (
        {"containerStatuses": [{"restartCount": 2, "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]},
        r"took more memory than its limit and was killed",
    ),
    (
        {"containerStatuses": [{"ready": False, "state": {"waiting": {
            "reason": "CreateContainerConfigError", "message": 'secret "db" not found'}}}]},
        r'cannot start \(CreateContainerConfigError\): secret "db" not found',
    ),
    (
        {"containerStatuses": [{"ready": False, "containerID": "x", "state": {"running": {}}}]},
        r"runs and is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said"), TROUBLES)
def test_why_it_is_not_ready_in_the_clusters_words(
    cluster: MemoryCluster, time: Time, status: Mapping[str, Any], said: str
) -> None:
    cluster.behaves = lambda _: status
    unhealthy = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    cluster.events = [{"involvedObject": {"name": "shop-prod-0"}, "reason": "Unhealthy", "message": unhealthy}]
    cluster.written = {"shop-prod-0": ["loading the model", "boom"]}
    with pytest.raises(RolloutError, match=said) as caught:
        roll(cluster, time, release())
    assert caught.value.log[-1] == "boom"
    assert "the service is stopped" in str(caught.value)
    assert live(cluster)["spec"]["replicas"] == 0


def test_a_secret_that_has_come_since_is_waited_for(cluster: MemoryCluster, time: Time) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
    status = {"containerStatuses": [{"ready": False, "state": {"waiting": waiting}}]}
    cluster.behaves = lambda _: status if time.now < 5 else {}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {}})
    assert roll(cluster, time, release()).seconds >= 5


def test_what_hands_change_is_drift_and_mended(cluster: MemoryCluster, time: Time) -> None:
    one = release(env={"LEVEL": "info"}, replicas=3)
    roll(cluster, time, one)
    cluster.edit("kubectl-edit", "Deployment", NAME, {"spec": {"replicas": 1, "paused": True}})
    cluster.delete("Service", NAME)
    target = target_in(cluster, time)
    assert [str(one) for one in target.differences(one)] == [
        "Service shop-prod is missing",
        "Deployment shop-prod spec.replicas: 1 → 3 (set by kubectl-edit)",
        "Deployment shop-prod spec.paused: true → none (set by kubectl-edit)",
    ]
    # None of it makes pods anew.
    assert not any(each.restarts for each in target.differences(one))
    assert any(each.restarts for each in target.differences(release("two")))
    assert not gate.is_live(target, one, target.verified())
    roll(cluster, time, one)
    assert target.differences(one) == []
    assert "paused" not in live(cluster)["spec"]


class Defaulting(MemoryCluster):
    """Sets what is not set, as an API server does."""

    def replace(self, changed: Object, *, dry_run: bool = False) -> Object:
        spec = {"sessionAffinity": "None", **changed["spec"]} if changed["kind"] == "Service" else changed["spec"]
        return super().replace({**changed, "spec": spec}, dry_run=dry_run)


def test_what_is_so_by_default_is_no_drift_whoever_set_it(time: Time) -> None:
    cluster, one = Defaulting(), release()
    roll(cluster, time, one)
    target = target_in(cluster, time)
    for value in ("ClientIP", "None"):
        cluster.edit("kubectl-create", "Service", NAME, {"spec": {"sessionAffinity": value}})
        assert bool(target.differences(one)) == (value == "ClientIP")
    before = list(cluster.history)
    assert gate.is_live(target, one, target.verified())
    assert cluster.history == before


def test_what_it_had_at_another_name_is_known(cluster: MemoryCluster, time: Time) -> None:
    roll(cluster, time, release())
    again = target_in(cluster, time, name="other", context="prod")
    ((place, how),) = again.left().items()
    assert place == "shop-prod in namespace default of https://memory.invalid"
    assert "kubectl delete deployment,service,ingress,hpa,secret -n default --context prod -l app" in how
    assert "instance=shop-prod," in how
    assert target_in(cluster, time).left() == {}
    cluster.delete("Deployment", NAME)
    assert again.left() == {}


def test_a_field_of_a_controller_is_not_taken_unless_asked(cluster: MemoryCluster, time: Time) -> None:
    one = release(replicas=3)
    roll(cluster, time, one)
    cluster.edit("argocd-controller", "Deployment", NAME, {"spec": {"replicas": 1}})
    with pytest.raises(Conflict, match=r"spec.replicas \(of argocd-controller\)"):
        roll(cluster, time, one)
    assert live(cluster)["spec"]["replicas"] == 1
    with pytest.raises(Conflict):
        target_in(cluster, time).rollout(one)
    target_in(cluster, time, force=True).rollout(one)
    assert live(cluster)["spec"]["replicas"] == 3


def test_a_deployment_of_others_is_left_alone(cluster: MemoryCluster, time: Time) -> None:
    metadata = {"name": NAME, "labels": {"app": "theirs"}}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}})
    with pytest.raises(UsageError, match="was not made by pipeline"):
        target_in(cluster, time).rollout(release())


@pytest.mark.parametrize(("kind", "name"), [("Service", NAME), ("Secret", f"{NAME}-registry"), ("Ingress", NAME)])
def test_other_objects_of_others_are_left_alone(cluster: MemoryCluster, time: Time, kind: str, name: str) -> None:
    cluster.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}, manager="kubectl-create")
    before = list(cluster.history)
    wanted = release(ingress={"host": "shop.example.com"})
    with pytest.raises(UsageError, match=f"the {kind} {name} in namespace default was not made by pipeline"):
        target_in(cluster, time, ACCOUNT).rollout(wanted)
    assert cluster.history == before
    target_in(cluster, time, ACCOUNT, force=True).rollout(release(force=True, ingress={"host": "shop.example.com"}))


def foreign(cluster: MemoryCluster, *kinds: str) -> None:
    for kind in kinds:
        cluster.apply(
            {"apiVersion": "v1", "kind": kind, "metadata": {"name": NAME}, "spec": {}}, manager="kubectl-create"
        )


def test_all_that_others_have_made_is_told_before_there_is_an_image(cluster: MemoryCluster, time: Time) -> None:
    foreign(cluster, "Service", "Ingress")
    pull = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{NAME}-registry"}}
    cluster.apply(pull, manager="kubectl-create")
    before, host = list(cluster.history), {"ingress": {"host": "shop.example.com"}}
    said = (
        rf"the Service {NAME} in namespace default was not made by pipeline; the Secret {NAME}-registry .*; the Ingress"
    )
    with pytest.raises(UsageError, match=f"{said} .*force: true"):
        target_in(cluster, time, ACCOUNT, **host).check(image="registry.example.com/ml/web")
    cluster.delete("Service", NAME)
    target_in(cluster, time, None).check(image="registry.example.com/ml/web")
    target_in(cluster, time, ACCOUNT, **host, force=True).check(image="registry.example.com/ml/web")
    cluster.delete("Ingress", NAME)
    cluster.delete("Secret", f"{NAME}-registry")
    cluster.history[:] = before
    target_in(cluster, time, ACCOUNT, **host).check(image="registry.example.com/ml/web")
    assert cluster.history == before


def test_a_deployment_of_others_is_neither_shown_as_ours_nor_stopped(cluster: MemoryCluster, time: Time) -> None:
    foreign(cluster, "Deployment", "HorizontalPodAutoscaler")
    before, target = list(cluster.history), target_in(cluster, time)
    seen = target.observe()
    assert (seen.state, seen.detail) == ("absent", f"the Deployment {NAME} was not made by pipeline")
    target.stop()
    assert list(target.logs()) == []
    assert cluster.history == before


def test_what_others_made_meanwhile_is_not_taken_by_a_rollback(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one", ingress={"host": "shop.example.com"}), release("two")
    roll(cluster, time, one)
    roll(cluster, time, two)
    foreign(cluster, "Ingress")
    with pytest.raises(UsageError, match=f"the Ingress {NAME} in namespace default was not made by pipeline"):
        target_in(cluster, time).rollback(one)
    assert target_in(cluster, time).observe().revision == two.revision


def test_whose_a_deployment_is_may_be_taken_from_it_by_hand(cluster: MemoryCluster, time: Time) -> None:
    one = release()
    roll(cluster, time, one)
    cluster.edit("kubectl-edit", "Deployment", NAME, {"metadata": {"annotations": None}})
    assert target_in(cluster, time).observe().state == "running"
    roll(cluster, time, one)
    assert target_in(cluster, time).observe().revision == one.revision


def test_a_service_called_as_the_canary_of_another_stays(cluster: MemoryCluster, time: Time) -> None:
    """`prod` and `prod-canary` in one namespace: each rollout of the one once deleted the other."""
    beside = target_in(cluster, time, None, f"{NAME}-canary", name=f"{NAME}-canary")
    of = replace(release(), service="shop-prod-canary", settings={"image": "web", "name": f"{NAME}-canary"})
    beside.rollout(of)
    target_in(cluster, time).rollout(release())
    assert beside.observe().state == "running"
    with pytest.raises(UsageError, match=f"the Deployment {NAME}-canary in namespace default belongs to"):
        target_in(cluster, time).rollout(release("two", strategy={"blue_green": True}))
    assert beside.observe().state == "running"


def test_secrets_get_objects_of_their_own_and_are_shown_nowhere(cluster: MemoryCluster, time: Time) -> None:
    one = release(env={"PASSWORD": Secret("hunter2"), "LEVEL": "info"}, secrets={"KEY": {"secret": "own", "key": "k"}})
    target = target_in(cluster, time, ACCOUNT)
    target.rollout(one)
    target.verified().put(one)
    pull = live(cluster, "shop-prod-registry", "Secret")
    auths = json.loads(base64.b64decode(pull["data"][".dockerconfigjson"]))["auths"]
    assert auths["registry.example.com"]["password"] == "word"
    pod = live(cluster)["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "shop-prod-registry"}]
    env = {one["name"]: one for one in pod["containers"][0]["env"]}
    assert env["LEVEL"] == {"name": "LEVEL", "value": "info"}
    assert env["KEY"]["valueFrom"]["secretKeyRef"] == {"name": "own", "key": "k"}
    kept = env["PASSWORD"]["valueFrom"]["secretKeyRef"]["name"]
    assert base64.b64decode(live(cluster, kept, "Secret")["data"]["PASSWORD"]) == b"hunter2"
    assert "hunter2" not in json.dumps(live(cluster))
    cluster.edit("kubectl-edit", "Secret", kept, {"data": {"PASSWORD": "b3RoZXI="}})
    assert [str(one) for one in target.differences(one)] == [
        f"Secret {kept} data.PASSWORD: *** → *** (set by kubectl-edit)"
    ]
    # What is put back later is still known to be secret.
    again = target_in(cluster, time).verified().get(one.service)
    assert again is not None
    assert again.revision == one.revision
    assert isinstance(again.settings["env"]["PASSWORD"], Secret)
    two = release("two", env={"PASSWORD": Secret("hunter3")})
    target.rollout(two)
    target.rollout(release("three"))
    assert [name for name in names(cluster, "Secret") if "-env-" in name] == [env_secret_name(two)]


def test_what_a_release_has_no_more_is_deleted(cluster: MemoryCluster, time: Time) -> None:
    more = {"ingress": {"host": "shop.example.com"}, "autoscale": {"max": 5}, "resources": {"cpu": "1"}}
    target_in(cluster, time).rollout(release(**more))
    assert "replicas" not in live(cluster)["spec"]
    assert target_in(cluster, time).observe().address == "http://shop.example.com"
    target_in(cluster, time).rollout(release())
    assert names(cluster, "Ingress") == names(cluster, "HorizontalPodAutoscaler") == []


@pytest.mark.parametrize(
    ("settings", "user", "said"),
    [({}, "", "runs as root"), ({}, "0:0", "runs as root"), ({}, "app", "runs as 'app': a cluster cannot tell"),
     ({"user": 0}, "1000", "runs as root")],
)  # fmt: skip
def test_pods_do_not_run_as_root(
    cluster: MemoryCluster, time: Time, settings: Mapping[str, Any], user: str, said: str
) -> None:
    wanted = Release(
        "shop-prod", "sha256:0", (), {"config": {"User": user}}, 80, 80, settings, reference="r/i@sha256:0"
    )  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=said):
        target_in(cluster, time).rollout(wanted)
    assert cluster.history == []


BLUE_GREEN: dict[str, Any] = {"strategy": {"blue_green": True}}


@pytest.mark.parametrize(
    "beside",
    [{"replicas": 5}, {"ingress": {"host": "shop.example.com"}}, {"force": True}, {"replicas": 3, **BLUE_GREEN}],
)
def test_what_is_beside_pods_makes_none_anew(cluster: MemoryCluster, time: Time, beside: dict[str, Any]) -> None:
    env = {"PASSWORD": Secret("hunter2")}
    roll(cluster, time, release(env=env, replicas=2))
    pods = live(cluster)["spec"]["template"]
    wanted = release(env=env, **{"replicas": 2, **beside})
    target = target_in(cluster, time)
    assert not any(one.restarts for one in target.differences(wanted))
    roll(cluster, time, wanted)
    assert live(cluster)["spec"]["template"] == pods
    assert target.observe().revision == wanted.revision
    assert names(cluster, "Secret") == [env_secret_name(wanted), "shop-prod-releases"]
    assert not [one for one in cluster.history if one[2].endswith("-canary")], "nothing is tried that is the same"


def test_a_missing_right_is_named(cluster: MemoryCluster, time: Time) -> None:
    forbidden = 'deployments.apps "shop-prod" is forbidden: User "ci" cannot patch resource "deployments" '
    forbidden += 'in API group "apps" in the namespace "default"'
    cluster.refuses = lambda verb, kind: forbidden if (verb, kind) == ("patch", "Deployment") else ""
    with pytest.raises(Forbidden, match=r"user ci may not patch deployments\.apps in the namespace default"):
        target_in(cluster, time).rollout(release())


def test_an_autoscaler_begins_with_the_pods_that_there_are(cluster: MemoryCluster, time: Time) -> None:
    roll(cluster, time, release(replicas=4))
    scaled = release(autoscale={"min": 2, "max": 9}, resources={"cpu": "1"})
    target = target_in(cluster, time, autoscale={"min": 2, "max": 9}, resources={"cpu": "1"})
    assert not [one for one in target.differences(scaled) if "spec.replicas" in one.field]
    roll(cluster, time, scaled)
    assert live(cluster)["spec"]["replicas"] == 4
    cluster.edit("kubectl-edit", "Deployment", NAME, {"spec": {"replicas": 6}})
    assert target.differences(scaled) == []
    roll(cluster, time, scaled)
    assert live(cluster)["spec"]["replicas"] == 6


def test_what_may_not_be_scored_does_not_stay(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one"), release("two")
    roll(cluster, time, one)
    told = 'User "me" cannot create resource "services/proxy" in API group "" in the namespace "default"'
    cluster.refuses = lambda verb, kind: told if (verb, kind) == ("create", "services/proxy") else ""
    with pytest.raises(RolloutError, match=r"user me may not create services/proxy .*is live again"):
        roll(cluster, time, two, score={"request": [1]})
    assert target_in(cluster, time).observe().revision == one.revision


@pytest.mark.parametrize(
    "state",
    [
        {"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
        {"restartCount": 0, "state": {"running": {}}},
        {"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling"}}},
    ],
)
def test_what_may_not_be_explained_is_put_back_all_the_same(
    cluster: MemoryCluster, time: Time, state: Mapping[str, Any]
) -> None:
    """Neither events nor logs may be read: no rollout needs them to end well."""
    one, two = release("one"), release("two")
    roll(cluster, time, one)
    status = {"containerStatuses": [{"name": "service", "ready": False, "containerID": "x", **state}]}
    cluster.behaves = lambda d: status if d["metadata"]["annotations"]["pipeline-images/image"] == two.image else {}
    cluster.refuses = lambda verb, kind: "no" if (verb, kind) in (("list", "Event"), ("get", "Pod")) else ""
    with pytest.raises(RolloutError, match=f"the last verified revision {one.revision} is live again"):
        roll(cluster, time, two)
    assert target_in(cluster, time).observe().revision == one.revision


def test_what_cannot_be_kept_is_not_rolled_out(cluster: MemoryCluster, time: Time) -> None:
    forbidden = 'User "ci" cannot patch resource "secrets" in API group "" in the namespace "default"'
    cluster.refuses = lambda verb, kind: forbidden if (verb, kind) == ("patch", "Secret") else ""
    with pytest.raises(Forbidden, match="user ci may not patch secrets in the namespace default"):
        target_in(cluster, time).rollout(release())
    assert cluster.get("Deployment", NAME) is None


def test_a_rollout_tells_how_far_it_is(cluster: MemoryCluster, time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.behaves = lambda _: {"containerStatuses": []} if time.now < 5 else {}
    roll(cluster, time, release(replicas=3))
    assert capsys.readouterr().out == "0 of 3 pods are ready\n"


def test_an_api_server_that_goes_away_and_comes_back(cluster: MemoryCluster, time: Time) -> None:
    one = release()
    roll(cluster, time, one)
    cluster.away = True
    target = target_in(cluster, time)
    seen = target.observe()
    assert seen.state == "unknown"
    assert "does not answer" in seen.detail
    cluster.away = False

    def gone_for(seconds: float) -> None:
        time.wait(seconds)
        cluster.away = time.now < 20

    cluster.behaves = lambda _: {"containerStatuses": []} if time.now < 20 else {}
    outcome = gate.release(target, release("two"), verified=target.verified(), deadline=60, clock=time, wait=gone_for)
    assert 20 <= outcome.seconds < 25


def test_the_same_release_from_another_machine_changes_no_object(cluster: MemoryCluster, time: Time) -> None:
    one = release(env={"PASSWORD": Secret("hunter2"), "LEVEL": "info"}, replicas=2)
    kept, again = target_in(cluster, time).verified(), target_in(cluster, time).verified()
    kept.put(one)
    before = live(cluster, f"{NAME}-releases", "Secret")
    known = again.get(one.service)
    assert known is not None
    again.put(known)
    again.put(replace(one, settings=dict(reversed(one.settings.items()))))
    assert live(cluster, f"{NAME}-releases", "Secret") == before
    assert len(cluster.history) == 1


def test_pins_and_history_are_in_the_cluster(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one"), release("two")
    roll(cluster, time, one)
    roll(cluster, time, two)
    kept = target_in(cluster, time).verified()
    assert [each.revision for each in kept.history("shop-prod")] == [two.revision, one.revision]
    kept.pin("shop-prod", one.revision)
    assert target_in(cluster, time).verified().pinned("shop-prod") == one.revision
    kept.demote("shop-prod", two.revision)
    found = target_in(cluster, time).verified().get("shop-prod")
    assert found is not None
    assert found.revision == one.revision


def test_a_verified_release_that_is_not_healthy_yet_is_not_stopped(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one", replicas=2), release("two", replicas=2)
    roll(cluster, time, one)
    cluster.behaves = lambda _: {"phase": "Pending"}
    with pytest.raises(RolloutError, match="it has passed before and there is no other to put back"):
        roll(cluster, time, one)
    assert live(cluster)["spec"]["replicas"] == 2
    with pytest.raises(RolloutError, match=f"revision {one.revision} was put back, and is not healthy yet"):
        roll(cluster, time, two)
    assert target_in(cluster, time).observe().revision == one.revision
    assert live(cluster)["spec"]["replicas"] == 2
