"""The target `azureml`, by Azure's own client against a double that checks what it is sent."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from azure_double import WORKSPACE, refuse
from azure_services import KEY, Azure, Time, azure_on, release

from pipeline.azure.online_target import OnlineTarget
from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Secret
from pipeline.stages import gate
from pipeline.stages.scoring import Unfit
from pipeline.stages.verified import VerifiedFiles
from pipeline.targets import azureml
from pipeline.targets.model import Observation, Release
from pipeline.targets.remote import Answer

ENDPOINT = f"{WORKSPACE}/onlineEndpoints/shop"
SCORE = {"request": {"data": [1]}, "expect": {"type": "object"}}
BASIC = {"workspace": WORKSPACE, "endpoint": "shop", "instance_type": "Standard_DS3_v2"}


class Lab:
    """A target, what it is passed through, and Azure."""

    def __init__(self, azure: Azure, time: Time, folder: Path) -> None:
        self.azure, self.time, self.folder = azure, time, folder
        self.verified = VerifiedFiles(folder / "verified")

    def release(self, name: str = "one", **settings: Any) -> Release:
        return release(name, **{**BASIC, **settings})

    def target(self, **settings: Any) -> OnlineTarget:
        return azureml.target(
            "shop-prod", {"image": "web", **BASIC, **settings}, self.azure.around(self.time, self.folder)
        )

    def passed(self, wanted: Release, target: OnlineTarget | None = None, back: bool = False) -> gate.Outcome:
        target = target or self.target(**{key: wanted.settings[key] for key in wanted.settings if key != "image"})
        return gate.release(
            target,
            wanted,
            verified=self.verified,
            deadline=600,
            score=SCORE,
            clock=self.time,
            wait=self.time.wait,
            send=self.send,
            back=back,
        )

    def send(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        context = ssl.create_default_context(cafile=self.azure.environ["SSL_CERT_FILE"])
        try:
            with urlopen(Request(url, body, dict(headers)), timeout=timeout, context=context) as answer:
                return Answer(answer.status, answer.read())
        except HTTPError as error:
            return Answer(error.code, error.read())

    @property
    def traffic(self) -> dict[str, int]:
        return dict(self.azure.resources[ENDPOINT]["properties"].get("traffic") or {})

    @property
    def deployments(self) -> list[str]:
        return [one.rpartition("/")[2] for one in self.azure.resources if one.startswith(f"{ENDPOINT}/deployments/")]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with azure_on(tmp_path) as (azure, time):
        yield Lab(azure, time, tmp_path)


def name_of(wanted: Release) -> str:
    return f"r{wanted.revision}"


def test_nothing_is_absent(lab: Lab) -> None:
    target = lab.target()
    assert target.observe() == Observation("absent")
    assert list(target.logs()) == []


def test_a_first_release_scores_before_it_has_traffic(lab: Lab) -> None:
    wanted = lab.release(env={"LEVEL": "info"}, request={"timeout": "5s", "concurrency": 2}, instance_count=3)
    outcome = lab.passed(wanted)
    assert outcome.observation.state == "running"
    assert outcome.observation.image == wanted.image
    assert outcome.observation.address == lab.azure.base
    assert lab.traffic == {name_of(wanted): 100}
    assert lab.azure.scored[0]["azureml-model-deployment"] == name_of(wanted)
    paths = [path for path, _ in lab.azure.puts]
    deployment = dict(lab.azure.puts)[f"{ENDPOINT}/deployments/{name_of(wanted)}"]
    assert paths[0] == ENDPOINT and paths[-1] == ENDPOINT
    assert deployment["sku"] == {"name": "Default", "capacity": 3}
    properties = deployment["properties"]
    assert properties["environmentVariables"] == {"LEVEL": "info"}
    assert properties["requestSettings"] == {"requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 2}
    environment = next(body for path, body in lab.azure.puts if "/environments/" in path)["properties"]
    assert environment["image"] == wanted.reference
    assert environment["inferenceConfig"]["scoringRoute"] == {"path": "/score", "port": 5001}


def test_the_next_release_takes_over_in_steps_and_the_one_before_goes(lab: Lab) -> None:
    first, second = lab.release(), lab.release("two", strategy={"steps": [10, 100], "mirror": 20, "pause": 3})
    lab.passed(first)
    before = len(lab.azure.puts)
    lab.passed(second)
    changes = [body["properties"] for path, body in lab.azure.puts[before:] if path == ENDPOINT]
    seen = [(one["traffic"], one.get("mirrorTraffic") or {}) for one in changes]
    old, new = name_of(first), name_of(second)
    assert seen == [({old: 100}, {new: 20}), ({old: 90, new: 10}, {}), ({new: 100}, {})]
    lab.azure.look(), lab.azure.look()
    assert lab.deployments == [new]


def test_a_release_that_does_not_score_gets_no_traffic(lab: Lab) -> None:
    first, second = lab.release(), lab.release("two")
    lab.passed(first)
    lab.azure.broken.add(name_of(second))
    lab.azure.log[name_of(second)] = "booting\nValueError: bad weights"
    with pytest.raises(Unfit, match=f"the last verified revision {first.revision} is live again") as caught:
        lab.passed(second)
    assert "ValueError: bad weights" in caught.value.log
    assert lab.traffic == {name_of(first): 100}
    lab.azure.look(), lab.azure.look()
    assert lab.deployments == [name_of(first)]


def test_a_deployment_that_fails_tells_why_and_is_taken_back(lab: Lab) -> None:
    first, second = lab.release(), lab.release("two")
    lab.passed(first)
    words = "Failed to pull the image from ACR: unauthorized"
    lab.azure.verdicts[name_of(second)] = {"code": "BadArgument", "message": words}
    with pytest.raises(Unfit, match=r"Failed to pull.*p-1.*AcrPull on prod\.azurecr\.io; the last verified revision"):
        lab.passed(second)
    assert lab.traffic == {name_of(first): 100}


def test_a_first_release_that_fails_leaves_no_deployment(lab: Lab) -> None:
    wanted = lab.release()
    lab.azure.verdicts["/deployments/"] = {"code": "OutOfQuota", "message": "Not enough quota for Standard_DS3_v2."}
    with pytest.raises(Unfit, match=r"Not enough quota for Standard_DS3_v2\. \(OutOfQuota\).*the service is stopped"):
        lab.passed(wanted)
    assert lab.deployments == []
    assert lab.target().observe().state == "stopped"


def test_a_sku_that_is_refused_at_once_ends_the_run(lab: Lab) -> None:
    first = lab.release()
    lab.passed(first)
    with pytest.raises(OutOfReach, match="SKU Standard_Nothing is not supported"):
        lab.passed(lab.release("two", instance_type="Standard_Nothing"))
    assert lab.traffic == {name_of(first): 100}


def test_throttled_and_broken_looks_change_nothing(lab: Lab) -> None:
    def busy(exchange: Any) -> None:
        refuse(exchange, 429, "TooManyRequests", "Slow down.", Retry_After="7")

    def broken(exchange: Any) -> None:
        exchange.reply(502, {}, b"<html>")

    lab.azure.faults["PUT", "/environments/"] = [busy]
    lab.azure.faults["PUT", "/deployments/"] = [busy, broken]
    lab.azure.faults["GET", "/onlineEndpoints/shop"] = [broken, broken]
    lab.azure.slow = 6
    wanted = lab.release()
    assert lab.passed(wanted).observation.state == "running"
    assert any(one >= 7 for one in lab.time.waits)
    assert any("Slow down" in text for text in lab.azure.said)


def test_a_look_that_fails_while_it_is_made(lab: Lab) -> None:
    target = lab.target()
    lab.azure.slow = 1
    target.rollout(lab.release())
    lab.azure.faults["GET", "/onlineEndpoints/shop"] = [
        lambda exchange: refuse(exchange, 429, "TooManyRequests", "Slow down.", Retry_After="30")
    ]
    assert target.observe().state == "unknown"
    asked = len(lab.azure.asked)
    assert target.observe().state == "unknown"
    assert len(lab.azure.asked) == asked
    lab.time.wait(31)
    assert target.observe().state == "running"


def test_the_same_again_changes_nothing(lab: Lab) -> None:
    wanted = lab.release()
    lab.passed(wanted)
    before = list(lab.azure.puts)
    target = lab.target()
    assert gate.is_live(target, wanted, lab.verified)
    lab.passed(wanted)
    assert lab.azure.puts == before


def test_what_was_changed_by_hand_is_told_and_mended(lab: Lab) -> None:
    wanted = lab.release(env={"TOKEN": Secret("s3cret"), "LEVEL": "info"})
    lab.passed(wanted)
    live = lab.azure.resources[f"{ENDPOINT}/deployments/{name_of(wanted)}"]
    live["sku"]["capacity"] = 7
    live["properties"]["environmentVariables"] = {"TOKEN": "other", "LEVEL": "info", "MORE": "x"}
    found = [str(one) for one in lab.target().differences(wanted)]
    assert sorted(found) == [
        "deployment environmentVariables MORE: *** → none",
        "deployment environmentVariables TOKEN: *** → ***",
        "deployment sku capacity: 7 → 1",
    ]
    assert not gate.is_live(lab.target(), wanted, lab.verified)
    lab.passed(wanted)
    assert lab.target().differences(wanted) == []


def test_rollback_to_a_deployment_that_is_gone(lab: Lab) -> None:
    first, second = lab.release(), lab.release("two")
    lab.passed(first)
    lab.passed(second)
    lab.azure.look(), lab.azure.look()
    assert lab.deployments == [name_of(second)]
    assert lab.passed(first, back=True).observation.revision == first.revision
    assert lab.traffic == {name_of(first): 100}


def test_the_deployment_before_can_be_kept(lab: Lab) -> None:
    first, second, third = (lab.release(name, keep_previous=True) for name in ("one", "two", "three"))
    for one in (first, second, third):
        lab.passed(one)
        lab.azure.look(), lab.azure.look()
    assert len(lab.deployments) == 2
    assert lab.traffic == {name_of(third): 100}


def test_stop_and_start_again(lab: Lab) -> None:
    wanted = lab.release()
    lab.passed(wanted)
    target = lab.target()
    assert target.stop().state == "stopped"
    assert target.stop().state == "stopped"
    assert list(target.logs()) == []
    assert lab.passed(wanted).observation.state == "running"


def test_an_endpoint_of_others_is_left_alone(lab: Lab) -> None:
    body = {"location": "westeurope", "properties": {"provisioningState": "Succeeded", "authMode": "Key"}}
    lab.azure.resources[ENDPOINT] = {**body, "name": "shop", "tags": {}}
    assert lab.target().observe().state == "absent"
    with pytest.raises(UsageError, match="was not made by pipeline"):
        lab.passed(lab.release())
    assert lab.azure.puts == []
    lab.passed(lab.release(force=True))


def test_logs_are_cut_and_followed(lab: Lab) -> None:
    wanted = lab.release()
    target = lab.target()
    lab.passed(wanted, target)
    lab.azure.log[name_of(wanted)] = "a\nb\nc"
    assert list(target.logs(lines=1)) == ["c"]
    assert list(target.logs(lines=0)) == []
    following = target.logs(follow=True, lines=2)
    assert [next(following), next(following)] == ["b", "c"]
    lab.azure.log[name_of(wanted)] = "b\nc\nd"
    assert next(following) == "d"


def test_what_is_said_holds_no_secret(lab: Lab) -> None:
    wanted = lab.release(env={"TOKEN": Secret("s3cret")})
    lab.passed(wanted)
    seen = lab.target().observe()
    endpoint = lab.target().endpoint(seen)
    assert endpoint is not None
    assert KEY not in str(endpoint) and KEY not in json.dumps(lab.azure.said)
    assert "s3cret" not in str(lab.target().differences(wanted)) + str(lab.azure.said)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workspace": "/subscriptions/1/resourceGroups/ml"}, "is no ARM id of a machine-learning workspace"),
        ({"workspace": "ws"}, "does not say its subscription.*AZURE_SUBSCRIPTION_ID"),
    ],
)
def test_a_place_that_is_none(lab: Lab, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        lab.passed(lab.release(**settings))
    assert caught.value.remedy


def test_a_workspace_that_is_not_there(lab: Lab) -> None:
    elsewhere = WORKSPACE.replace("/ws", "/other")
    with pytest.raises((UsageError, OutOfReach), match=r"workspace other|endpoint shop"):
        lab.passed(lab.release(workspace=elsewhere))


def test_accelerators() -> None:
    for machine in ("Standard_NC6s_v3", "Standard_ND96asr_v4", "standard_nv36ads_a10_v5"):
        assert azureml.accelerators({"instance_type": machine}) == {"cuda"}
    for machine in ("Standard_DS3_v2", "Standard_NV4as_v4", "Standard_F4s_v2"):
        assert not azureml.accelerators({"instance_type": machine})
