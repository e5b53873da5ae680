"""What `pipeline doctor` says of machines that tests make up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.home import Home
from pipeline.stages.doctor import Finding, findings


def found(environ: dict[str, str], folder: Path) -> dict[str, Finding]:
    home = Home(folder / "store", folder / "cache", folder / "state")
    return {each.what: each for each in findings(environ, home, folder / "machine")}


def test_a_bare_machine_is_told_what_to_install(tmp_path: Path) -> None:
    said = found({"HOME": str(tmp_path)}, tmp_path)
    assert said["store"].state in ("ok", "limited")
    assert said["container engine"].state == "missing"
    assert "docker.io" in said["container engine"].remedy
    assert said["archive keyrings"].state == "missing"
    assert "debian-archive-keyring" in said["archive keyrings"].remedy
    assert "pipeline login" in said["registry credentials"].remedy
    assert not list(tmp_path.iterdir()), "looking changes nothing"


def test_what_is_there_is_named(tmp_path: Path) -> None:
    keyrings = tmp_path / "machine/usr/share/keyrings"
    keyrings.mkdir(parents=True)
    (keyrings / "debian-archive-keyring.gpg").touch()
    (keyrings / "ubuntu-archive-keyring.gpg").touch()
    (tmp_path / "machine/proc/sys/fs/binfmt_misc").mkdir(parents=True)
    (tmp_path / "machine/proc/sys/fs/binfmt_misc/qemu-aarch64").touch()
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(
        json.dumps({"auths": {"reg.example": {"auth": "c2VjcmV0OnNlY3JldA=="}}})
    )
    said = found({"HOME": str(tmp_path)}, tmp_path)
    assert said["archive keyrings"].state == "ok"
    assert "aarch64" in said["other architectures"].fact
    assert "reg.example" in said["registry credentials"].fact
    assert "c2VjcmV0" not in repr(said)


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"], ids=["cut off", "a list", "not text"])
def test_a_broken_docker_config_is_one_finding(text: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_bytes(text.encode(errors="surrogateescape"))
    assert found({"HOME": str(tmp_path)}, tmp_path)["registry credentials"].state == "missing"
