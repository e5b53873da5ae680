"""What every target does, asked of those in Azure: their doubles go on by a step whenever somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_double import SUBSCRIPTION, WORKSPACE
from azure_services import Azure, Time, azure_on, release
from conformance import TargetConformance
from test_iotedge_target import Hub
from test_iotedge_target import Lab as DeviceLab

from pipeline.targets import aci, azureml
from pipeline.targets.model import Release
from pipeline.targets.remote import RemoteTarget

GROUP = {"subscription": SUBSCRIPTION, "resource_group": "ml", "dns_name_label": "our-shop"}
ENDPOINT = {"workspace": WORKSPACE, "endpoint": "shop", "instance_type": "Standard_DS3_v2"}


@dataclass
class Cloud:
    azure: Azure
    time: Time
    folder: Path
    hub: Hub | None = None

    def step(self) -> None:
        self.azure.look()
        if self.hub:
            self.hub.settled()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with azure_on(tmp_path) as (azure, time):
        yield Cloud(azure, time, tmp_path)


class AzureConformance(TargetConformance):
    """Addresses and what is left of logs are each service's own."""

    @pytest.fixture
    def until(self, cloud: Cloud) -> Callable[[Callable[[], Any]], Any]:
        def until(call: Callable[[], Any]) -> Any:
            for _ in range(20):
                if found := call():
                    return found
                cloud.step()
            raise AssertionError("it did not come about")

        return until

    def test_a_rollout_becomes_live(self, target: RemoteTarget, releases: Any, until: Any) -> None:  # type: ignore[override]
        assert target.rollout(releases[0]).revision == releases[0].revision
        live = until(lambda: (now := target.observe()).state == "running" and now)
        assert (live.revision, live.image) == (releases[0].revision, releases[0].image)
        assert live.address

    def test_logs_can_be_cut_and_followed_to_the_end(self, target: RemoteTarget, releases: Any, until: Any) -> None:  # type: ignore[override]
        self._live(target, releases[0], until)
        assert list(target.logs(lines=1)) == list(target.logs())[-1:]
        assert list(target.logs(lines=0)) == []
        target.stop()
        assert isinstance(list(target.logs(follow=True)), list)

    def test_a_rollout_again_is_the_same(self, target: RemoteTarget, releases: Any, until: Any) -> None:
        self._live(target, releases[0], until)
        assert [one for one in target.differences(releases[0]) if one.field != "traffic"] == []
        target.rollout(releases[0])
        assert target.observe().state == "running"


class TestEndpoint(AzureConformance):
    @pytest.fixture
    def releases(self) -> tuple[Release, Release]:
        return release("one", **ENDPOINT), release("two", **ENDPOINT)

    @pytest.fixture
    def target(self, cloud: Cloud) -> RemoteTarget:
        return azureml.target("shop-prod", {"image": "web", **ENDPOINT}, cloud.azure.around(cloud.time, cloud.folder))


class TestContainerGroup(AzureConformance):
    @pytest.fixture
    def releases(self) -> tuple[Release, Release]:
        return release("one", **GROUP), release("two", **GROUP)

    @pytest.fixture
    def target(self, cloud: Cloud) -> RemoteTarget:
        around = cloud.azure.around(cloud.time, cloud.folder)
        return aci.target("shop-prod", {"image": "web", **GROUP}, around, probe=lambda *_: "")


class TestDevice(AzureConformance):
    @pytest.fixture
    def releases(self) -> tuple[Release, Release]:
        return release("one"), release("two")

    @pytest.fixture
    def target(self, cloud: Cloud) -> RemoteTarget:
        lab = DeviceLab(cloud.azure, cloud.time, cloud.folder)
        cloud.hub = lab.hub
        return lab.target()
