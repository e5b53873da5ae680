"""Credentials that end within a rollout: read again, else told of soon; and those that there are none of."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_releases import Time, release, target_in

from pipeline.errors import OutOfReach, RolloutError, UsageError
from pipeline.kubernetes.api import Forbidden, Unauthorized, refusal
from pipeline.kubernetes.client import KubernetesCluster, connect
from pipeline.kubernetes.login import Login
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.stages import gate
from pipeline.targets.model import Release
from pipeline.targets.remote import Answer

pytest.importorskip("kubernetes")

SCORE = {"request": [1], "expect": {"type": "array"}}


def roll(cluster: MemoryCluster, time: Time, wanted: Release, score: Any = None, wait: Any = None) -> gate.Outcome:
    target = target_in(cluster, time, **{name: one for name, one in wanted.settings.items() if name != "image"})
    return gate.release(
        target, wanted, verified=target.verified(), deadline=60, score=score, clock=time, wait=wait or time.wait
    )


def pending(cluster: MemoryCluster, wanted: Release) -> None:
    cluster.behaves = lambda d: {"phase": "Pending"} if wanted.image in str(d["metadata"]["annotations"]) else {}


def test_a_token_that_expires_within_a_rollout_ends_it_soon(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one"), release("two")
    roll(cluster, time, one)
    pending(cluster, two)

    def wait(seconds: float) -> None:
        time.wait(seconds)
        cluster.expired = time.now > 10

    with pytest.raises(Unauthorized, match=r"credentials of user ci for .*log in .*then run again to go on"):
        roll(cluster, time, two, wait=wait)
    assert 10 < time.now < 20, "the deadline is 60"
    cluster.expired = False
    target = target_in(cluster, time)
    assert [each.revision for each in target.verified().history("shop-prod")] == [one.revision], "two has not passed"
    assert target.observe().revision == two.revision
    with pytest.raises(RolloutError, match=f"the last verified revision {one.revision} is live again"):
        roll(cluster, time, two)
    cluster.behaves = lambda _: {}
    roll(cluster, time, two)
    passed = target_in(cluster, time).verified().get("shop-prod")
    assert passed is not None
    assert passed.revision == two.revision


def test_a_right_that_is_taken_within_a_rollout_is_named(cluster: MemoryCluster, time: Time) -> None:
    pending(cluster, release())
    told = 'User "ci" cannot list resource "pods" in API group "" in the namespace "default"'
    cluster.refuses = lambda verb, kind: told if time.now > 10 and (verb, kind) == ("list", "Pod") else ""
    with pytest.raises(Forbidden, match="user ci may not list pods in the namespace default"):
        roll(cluster, time, release())
    assert time.now < 20


def test_what_is_refused_for_a_moment_is_waited_for(cluster: MemoryCluster, time: Time) -> None:
    """An API server that has just come up has not read its rules."""
    pending(cluster, release())

    def wait(seconds: float) -> None:
        time.wait(seconds)
        cluster.expired = 10 < time.now < 14
        if time.now > 20:
            cluster.behaves = lambda _: {}

    assert roll(cluster, time, release(), wait=wait).seconds > 20


def test_a_request_without_credentials_says_nothing_of_a_release(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one"), release("two")
    roll(cluster, time, one)

    def answer(_service: str, _body: bytes) -> Answer:
        cluster.expired = True
        cluster._ask("create", "services/proxy")
        raise AssertionError("it is refused")

    cluster.answers = answer
    with pytest.raises(Unauthorized, match="then run again to go on"):
        roll(cluster, time, two, SCORE)
    cluster.expired = False
    assert target_in(cluster, time).observe().revision == two.revision, "it may be well: nothing was put back"


CANARY = {"canary": {"steps": [50, 100], "pause": 30}}


def canary(cluster: MemoryCluster, time: Time, fault: str) -> tuple[Release, Release]:
    """Begins the second of two releases, and lets the cluster be so from the second look at its first share on."""
    one, two = release("one", replicas=4, strategy=CANARY), release("two", replicas=4, strategy=CANARY)
    cluster.answers = lambda _service, _body: Answer(200, b"[1]")
    roll(cluster, time, one, SCORE)

    def wait(seconds: float) -> None:
        time.wait(seconds)
        setattr(cluster, fault, True)

    with pytest.raises((Unauthorized, OutOfReach)) as caught:
        roll(cluster, time, two, SCORE, wait=wait)
    assert ("may have expired" in str(caught.value)) == (fault == "expired")
    assert (time.now < 20) == (fault == "expired")
    setattr(cluster, fault, False)
    return one, two


@pytest.mark.parametrize("fault", ["expired", "away"])
def test_a_canary_that_cannot_be_watched_gets_no_more_traffic(cluster: MemoryCluster, time: Time, fault: str) -> None:
    one, two = canary(cluster, time, fault)
    found = cluster.get("Deployment", "shop-prod")
    assert found is not None
    assert found["metadata"]["annotations"]["pipeline-images/revision"] == one.revision
    roll(cluster, time, two, SCORE)
    assert [each["metadata"]["name"] for each in cluster.find("Deployment")] == ["shop-prod"]
    assert target_in(cluster, time).observe().revision == two.revision


def test_a_canary_waits_for_an_api_server_that_comes_back(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one", replicas=4, strategy=CANARY), release("two", replicas=4, strategy=CANARY)
    asked: list[float] = []

    def answer(_service: str, _body: bytes) -> Answer:
        asked.append(time.now)
        return Answer(200, b"[1]")

    cluster.answers = answer
    roll(cluster, time, one, SCORE)

    def wait(seconds: float) -> None:
        time.wait(seconds)
        cluster.away = 10 < time.now < 50

    roll(cluster, time, two, SCORE, wait=wait)
    assert 50 <= time.now < 55, "the step, of 30 s, is not over before it can be told how it is"
    assert [one for one in asked if one >= 50], "which it then is"


def test_what_cannot_be_put_back_is_not_stopped(cluster: MemoryCluster, time: Time) -> None:
    """Old pods serve on while the new ones fail."""
    one, two = release("one", replicas=2), release("two", replicas=2)
    roll(cluster, time, one)
    pending(cluster, two)
    told = 'User "ci" cannot patch resource "services" in API group "" in the namespace "default"'
    cluster.refuses = lambda verb, kind: told if time.now > 50 and (verb, kind) == ("patch", "Service") else ""
    with pytest.raises(RolloutError, match=r"could not be put back \(user ci may not patch .* nothing was stopped"):
        roll(cluster, time, two)
    found = cluster.get("Deployment", "shop-prod")
    assert found is not None
    assert found["spec"]["replicas"] == 2


# -- the client ---------------------------------------------------------------------------------------------------


class Api:
    """Answers with these, in order, and counts how often it was asked."""

    def __init__(self, *answers: tuple[int, bytes], host: str = "https://memory.invalid") -> None:
        self.configuration = SimpleNamespace(host=host)
        self.answers, self.asked = list(answers), 0

    def param_serialize(self, *words: Any, **_: Any) -> Any:
        return words

    def call_api(self, *_words: Any, **_: Any) -> Any:
        self.asked += 1
        status, body = self.answers.pop(0)
        return SimpleNamespace(response=SimpleNamespace(status=status, read=lambda: body))


REFUSED = (401, json.dumps({"kind": "Status", "metadata": {}, "message": "Unauthorized", "code": 401}).encode())
GOOD = (200, b'{"kind": "Service"}')


def cluster_of(first: Api, *others: Api | Exception) -> KubernetesCluster:
    left = list(others)

    def again() -> Login:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return Login(found, "", "prod", "user ci")

    return KubernetesCluster(first, "default", "user ci (context prod)", again)


def test_credentials_are_read_again_when_they_are_refused() -> None:
    new = Api(GOOD, GOOD)
    found = cluster_of(Api(REFUSED), new)
    assert found.get("Service", "shop") == {"kind": "Service"}
    assert found.get("Service", "shop") == {"kind": "Service"}
    assert new.asked == 2, "the new ones are kept"
    assert cluster_of(Api(REFUSED), Api((200, b"[1]"))).call("shop", 80, "/score", b"[1]", {}, 5).body == b"[1]"


def test_who_is_refused_is_named() -> None:
    said = r"credentials of user ci \(context prod\) for Service shop: Unauthorized \(the token may have expired"
    with pytest.raises(Unauthorized, match=said):
        cluster_of(Api(REFUSED), Api(REFUSED)).get("Service", "shop")
    with pytest.raises(Unauthorized, match=r"and new ones cannot be had \(nobody is signed in"):
        cluster_of(Api(REFUSED), OutOfReach("nobody is signed in")).get("Service", "shop")
    with pytest.raises(Unauthorized, match="a request to the service shop"):
        cluster_of(Api(REFUSED), Api(REFUSED)).call("shop", 80, "/score", b"[1]", {}, 5)


def test_another_cluster_is_not_taken_for_new_credentials() -> None:
    """The kubeconfig's context may mean another one by now."""
    other = Api(GOOD, host="https://other.invalid")
    with pytest.raises(Unauthorized):
        cluster_of(Api(REFUSED), other).get("Service", "shop")
    assert other.asked == 0


def test_a_service_that_refuses_has_answered() -> None:
    other = Api(GOOD)
    assert cluster_of(Api((401, b"who are you?")), other).call("shop", 80, "/score", b"[1]", {}, 5).status == 401
    assert other.asked == 0


def test_nobody_is_told_to_log_in_and_not_to_grant_rights() -> None:
    told = 'User "system:anonymous" cannot get resource "services" in API group "" in the namespace "default"'
    found = refusal(403, {"message": told}, "Service shop", "default", "user ci")
    assert isinstance(found, Unauthorized)
    assert "no credentials of user ci" in str(found)
    assert "log in to the cluster again" in str(found)


def kubeconfig(folder: Path, server: str, user: dict[str, Any], current: str = "prod") -> str:
    config = folder / "config"
    contexts = [{"name": name, "context": {"cluster": name, "user": "ci"}} for name in ("prod", "other")]
    clusters = [
        {"name": "prod", "cluster": {"server": server}},
        {"name": "other", "cluster": {"server": "https://other.invalid"}},
    ]
    head = {"apiVersion": "v1", "kind": "Config", "current-context": current}
    config.write_text(
        json.dumps({**head, "clusters": clusters, "users": [{"name": "ci", "user": user}], "contexts": contexts})
    )
    return str(config)


def test_a_program_that_gives_no_credentials_is_told_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    version = "client.authentication.k8s.io/v1"
    for command in ("false", "there-is-no-such-program"):
        user = {"exec": {"apiVersion": version, "command": command, "interactiveMode": "Never"}}
        config = kubeconfig(tmp_path, "https://prod.invalid", user)
        with pytest.raises(UsageError, match=r"user ci \(context prod in .*config\) has no credentials: .*`exec`"):
            connect({}, config=config)
    assert capfd.readouterr().err == ""


def test_the_context_stays_the_one_that_was_current(tmp_path: Path) -> None:
    found = connect({}, config=kubeconfig(tmp_path, "https://prod.invalid", {"token": "old"}))
    kubeconfig(tmp_path, "https://prod.invalid", {"token": "new"}, current="other")
    assert found._again is not None
    login = found._again()
    assert login.api.configuration.host == "https://prod.invalid"
    assert login.api.configuration.api_key["BearerToken"] == "Bearer new"
