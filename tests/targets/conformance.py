"""What every target does, whatever runs the service: a suite that each implementation inherits."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.targets.model import Mount, Release, Target


class TargetConformance:
    """A subclass gives two fixtures: `target`, with nothing on it, and `releases`, two that become healthy."""

    def test_nothing_is_absent(self, target: Target) -> None:
        assert target.observe().state == "absent"
        assert list(target.logs()) == []

    def test_a_rollout_becomes_live(self, target: Target, releases: tuple[Release, Release], until: Any) -> None:
        assert target.rollout(releases[0]).revision == releases[0].revision
        live = until(lambda: (now := target.observe()).state == "running" and now)
        assert live.revision == releases[0].revision
        assert live.image == releases[0].image
        assert live.address.endswith(f":{releases[0].port}")

    def test_a_second_rollout_replaces_the_first(
        self, target: Target, releases: tuple[Release, Release], until: Any
    ) -> None:
        self._live(target, releases[0], until)
        self._live(target, releases[1], until)
        assert target.observe().revision == releases[1].revision

    def test_rollback_puts_an_earlier_release_back(
        self, target: Target, releases: tuple[Release, Release], until: Any
    ) -> None:
        self._live(target, releases[0], until)
        self._live(target, releases[1], until)
        target.rollback(releases[0])
        until(lambda: target.observe().state == "running")
        assert target.observe().revision == releases[0].revision

    def test_stop_ends_it_and_may_be_said_twice(
        self, target: Target, releases: tuple[Release, Release], until: Any
    ) -> None:
        self._live(target, releases[0], until)
        assert target.stop().state == "stopped"
        assert target.stop().state == "stopped"
        assert target.observe().state == "stopped"

    def test_what_was_stopped_can_be_started(
        self, target: Target, releases: tuple[Release, Release], until: Any
    ) -> None:
        self._live(target, releases[0], until)
        target.stop()
        self._live(target, releases[0], until)

    def test_logs_can_be_cut_and_followed_to_the_end(
        self, target: Target, releases: tuple[Release, Release], until: Any
    ) -> None:
        self._live(target, releases[0], until)
        everything = until(lambda: list(target.logs()))
        assert list(target.logs(lines=1)) == list(target.logs())[-1:]
        assert list(target.logs(lines=0)) == []
        target.stop()
        assert list(target.logs(follow=True))[: len(everything)] == everything

    def _live(self, target: Target, release: Release, until: Callable[[Callable[[], Any]], Any]) -> None:
        target.rollout(release)
        until(lambda: target.observe().state == "running")


class ServingConformance(TargetConformance):
    """The same for targets whose services answer; `image` gives further layers."""

    def test_what_an_image_does_not_hold_is_mounted(
        self, target: Target, releases: tuple[Release, Release], image: Any, until: Any
    ) -> None:
        """Files of two layers; an earlier release gets back what it had."""
        names = ("models/m/1/small", "models/m/1/deep/big")
        shared = image.apart({names[1]: "weights"})
        wanted = []
        for number, release in enumerate(releases):
            layers = (image.apart({names[0]: f"model {number}"}), shared)
            env = {**release.settings["env"], "READ": " ".join(f"/{name}" for name in names)}
            settings = {**release.settings, "env": env}
            wanted.append(replace(release, settings=settings, mounts=(Mount("/models/m/1", layers),)))
        assert wanted[0].revision != replace(wanted[0], mounts=wanted[1].mounts).revision
        for number, act in ((0, target.rollout), (1, target.rollout), (0, target.rollback)):
            act(Release.from_json(wanted[number].to_json()))
            until(lambda: target.observe().state == "running")
            with urllib.request.urlopen(target.observe().address) as answer:
                read = json.load(answer)["read"]
            assert read == {f"/{names[0]}": f"model {number}", f"/{names[1]}": "weights"}
