"""The target `aci`, by Azure's own client against a double that checks what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_double import GROUP, SUBSCRIPTION, refuse
from azure_services import ACCOUNT, Azure, Time, azure_on, release

from pipeline.azure.instances_target import InstancesTarget
from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Secret
from pipeline.stages import gate
from pipeline.stages.scoring import Unfit
from pipeline.stages.verified import VerifiedFiles
from pipeline.targets import aci
from pipeline.targets.model import Release
from pipeline.targets.remote import Account

NAME = f"{GROUP}/providers/Microsoft.ContainerInstance/containerGroups/shop-prod"
PLACE = {"subscription": SUBSCRIPTION, "resource_group": "ml", "dns_name_label": "our-shop"}


class Lab:
    def __init__(self, azure: Azure, time: Time, folder: Path) -> None:
        self.azure, self.time, self.folder = azure, time, folder
        self.verified = VerifiedFiles(folder / "verified")
        self.ill = ""
        self.probed: list[tuple[str, int, str]] = []

    def release(self, name: str = "one", **settings: Any) -> Release:
        return release(name, **{**PLACE, **settings})

    def probe(self, host: str, port: int, path: str, _timeout: float) -> str:
        self.probed.append((host, port, path))
        return self.ill

    def target(self, account: Account | None = ACCOUNT, **settings: Any) -> InstancesTarget:
        around = self.azure.around(self.time, self.folder, account)
        return aci.target("shop-prod", {"image": "web", **PLACE, **settings}, around, probe=self.probe)

    def passed(self, wanted: Release) -> gate.Outcome:
        target = self.target(**{name: value for name, value in wanted.settings.items() if name != "image"})
        verified, time = self.verified, self.time
        return gate.release(target, wanted, verified=verified, deadline=60, clock=time, wait=time.wait)

    @property
    def live(self) -> dict[str, Any]:
        return self.azure.resources[NAME]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with azure_on(tmp_path) as (azure, time):
        yield Lab(azure, time, tmp_path)


def test_nothing_is_absent(lab: Lab) -> None:
    assert lab.target().observe().state == "absent"
    assert list(lab.target().logs()) == []


def test_a_release_is_a_container_group(lab: Lab) -> None:
    wanted = lab.release(cpu=1, memory_gb=2, env={"LEVEL": "info", "TOKEN": Secret("s3cret")}, location="northeurope")
    outcome = lab.passed(wanted)
    assert outcome.observation.address == "http://our-shop.westeurope.azurecontainer.io:5001"
    assert outcome.observation.image == wanted.image
    assert lab.probed[-1] == ("our-shop.westeurope.azurecontainer.io", 5001, "/")
    _, body = lab.azure.puts[-1]
    properties = body["properties"]
    container = properties["containers"][0]["properties"]
    assert body["location"] == "northeurope"
    assert container["image"] == wanted.reference
    assert container["resources"] == {"requests": {"cpu": 1.0, "memoryInGB": 2.0}}
    assert container["environmentVariables"] == [
        {"name": "LEVEL", "value": "info"},
        {"name": "TOKEN", "secureValue": "s3cret"},
    ]
    sent = properties["imageRegistryCredentials"]
    assert sent == [{"server": "prod.azurecr.io", "username": "puller", "password": "pull-w0rd"}]
    kept = str(wanted.to_json()) + str(outcome.observation) + str(lab.azure.said)
    assert "pull-w0rd" not in kept


def test_the_same_again_changes_nothing(lab: Lab) -> None:
    wanted = lab.release(env={"TOKEN": Secret("s3cret")})
    lab.passed(wanted)
    assert lab.target().differences(wanted) == []
    assert gate.is_live(lab.target(), wanted, lab.verified)
    lab.passed(wanted)
    assert len(lab.azure.puts) == 1


def test_what_azure_cannot_change_is_made_anew(lab: Lab) -> None:
    lab.passed(lab.release(cpu=1))
    second = lab.release("two", cpu=2)
    assert lab.passed(second).observation.revision == second.revision
    assert f"DELETE {NAME}" in lab.azure.asked
    lab.passed(lab.release("three", cpu=2))
    assert lab.azure.asked.count(f"DELETE {NAME}") == 1


def test_one_that_does_not_answer_is_replaced_by_what_passed(lab: Lab) -> None:
    first, second = lab.release(), lab.release("two")
    lab.passed(first)

    def probe(*_args: Any) -> str:
        image = lab.live["properties"]["containers"][0]["properties"]["image"]
        return "GET / was answered with 500" if image == second.reference else ""

    lab.probe = probe  # type: ignore[method-assign]
    lab.azure.log[NAME] = "Traceback\nKeyError: 'x'"
    with pytest.raises(Unfit, match=f"500.*last verified revision {first.revision} is live again") as caught:
        lab.passed(second)
    assert "KeyError: 'x'" in caught.value.log


def test_a_container_that_ends_again_and_again(lab: Lab) -> None:
    target = lab.target()
    target.rollout(lab.release())
    lab.azure.look(), lab.azure.look()
    view = lab.live["properties"]["containers"][0]["properties"]["instanceView"]
    waiting = {"state": "Waiting", "detailStatus": "CrashLoopBackOff"}
    view |= {"restartCount": 3, "currentState": waiting, "previousState": {"state": "Terminated", "exitCode": 3}}
    seen = target.observe()
    assert (seen.state, seen.detail) == ("failed", "it ended with exit code 3, and was started again 3 times")


def test_an_image_that_cannot_be_pulled_is_told(lab: Lab) -> None:
    words = "The image 'web' in container group 'shop-prod' is not accessible."
    lab.azure.verdicts["containerGroups"] = {"code": "InaccessibleImage", "message": words}
    with pytest.raises(Unfit, match=r"is not accessible\. \(InaccessibleImage\).*the service is stopped"):
        lab.passed(lab.release())


def test_a_quota_is_told_in_azures_words_and_nothing_is_touched(lab: Lab) -> None:
    first = lab.release()
    lab.passed(first)
    lab.azure.faults["PUT", "containerGroups"] = [
        lambda exchange: refuse(exchange, 409, "ContainerGroupQuotaReached", "quota 'StandardCores' exceeded.")
    ]
    with pytest.raises(OutOfReach, match="quota 'StandardCores' exceeded"):
        lab.passed(lab.release("two"))
    assert lab.target().observe().revision == first.revision


def test_another_operation_is_waited_for(lab: Lab) -> None:
    busy = "The container group 'shop-prod' is still transitioning, please retry later."
    lab.azure.faults["PUT", "containerGroups"] = [
        lambda exchange: refuse(exchange, 409, "ContainerGroupTransitioning", busy),
        lambda exchange: refuse(exchange, 429, "TooManyRequests", "Slow down.", Retry_After="11"),
    ]
    assert lab.passed(lab.release()).observation.state == "running"
    assert any(one >= 11 for one in lab.time.waits)


def test_in_a_subnet_it_is_not_called_from_here(lab: Lab) -> None:
    place = {"subscription": SUBSCRIPTION, "resource_group": "ml", "vnet_name": "net", "subnet_name": "inner"}
    wanted = release("one", **place)
    around = lab.azure.around(lab.time, lab.folder)
    target = aci.target("shop-prod", {"image": "web", **place}, around, probe=lab.probe)
    time = lab.time
    score = {"request": 1}
    passed = gate.release(target, wanted, verified=lab.verified, deadline=60, score=score, clock=time, wait=time.wait)
    assert passed.score is None
    assert "in a subnet" in passed.observation.detail
    properties = lab.azure.puts[-1][1]["properties"]
    assert properties["ipAddress"]["type"] == "Private"
    subnet = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net/subnets/inner"
    assert properties["subnetIds"] == [{"id": subnet}]


def test_an_identity_pulls_and_keys_encrypt(lab: Lab) -> None:
    identity = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
    vault = {"vault_base_url": "https://v.vault.azure.net", "key_name": "k", "key_version": "1"}
    lab.passed(lab.release(identity=identity, **vault))
    _, body = lab.azure.puts[-1]
    assert body["properties"]["imageRegistryCredentials"] == [{"server": "prod.azurecr.io", "identity": identity}]
    assert [*body["identity"]["userAssignedIdentities"]] == [identity]
    assert body["properties"]["encryptionProperties"]["keyName"] == "k"


def test_stop_twice_and_start_again(lab: Lab) -> None:
    wanted = lab.release()
    lab.passed(wanted)
    target = lab.target()
    assert target.stop().state == "stopped"
    assert target.stop().state == "stopped"
    assert lab.passed(wanted).observation.state == "running"


def test_one_of_others_is_left_alone(lab: Lab) -> None:
    lab.passed(lab.release())
    lab.live["tags"] = {}
    with pytest.raises(UsageError, match="was not made by pipeline"):
        lab.passed(lab.release("two"))


def test_logs_are_cut(lab: Lab) -> None:
    lab.passed(lab.release())
    lab.azure.log[NAME] = "a\nb"
    assert list(lab.target().logs()) == ["a", "b"]
    assert list(lab.target().logs(lines=0)) == []


def test_it_needs_a_place(lab: Lab) -> None:
    target = aci.target("shop-prod", {"image": "web"}, lab.azure.around(lab.time, lab.folder))
    with pytest.raises(UsageError, match=r"subscription.*AZURE_SUBSCRIPTION_ID"):
        target.rollout(release())


def test_flaws_and_accelerators() -> None:
    assert [place for place, _, _ in aci.flaws({"vnet_name": "n", "key_name": "k"})] == [("vnet_name",), ("key_name",)]
    assert aci.accelerators({"gpu": {"sku": "V100"}}) == {"cuda"}
    assert not aci.accelerators({})
