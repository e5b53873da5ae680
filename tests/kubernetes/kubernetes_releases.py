"""Releases and targets of clusters, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.digest import digest_of
from pipeline.kubernetes.api import Cluster
from pipeline.kubernetes.target import KubernetesTarget
from pipeline.manifest.model import Secret
from pipeline.targets.model import Release
from pipeline.targets.remote import Account, Surroundings


def release(name: str = "one", **settings: Any) -> Release:
    """Of an image called so."""
    image = digest_of(name.encode())
    return Release(
        "shop-prod",
        image,
        (),
        {"config": {"User": "1000"}},
        80,
        5001,
        {"image": "web", **settings},
        reference=f"registry.example.com/ml/web@{image}",
    )


class Time:
    """Passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def target_in(
    cluster: Cluster, time: Time, account: Account | None = None, service: str = "shop-prod", **settings: Any
) -> KubernetesTarget:
    around = Surroundings(Path("/nowhere"), Path("/nowhere"), {}, lambda _: account, print, time, time.wait)
    return KubernetesTarget(service, {"image": "web", **settings}, lambda: cluster, around)


ACCOUNT = Account("registry.example.com", "me", Secret("word"))
