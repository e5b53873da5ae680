"""Where credentials come from: the manifest, Docker's config file, and credential helpers."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Registry, Secret
from pipeline.registry.credentials import Credential, Keychain, save

HELPER = """#!/bin/sh
read server
echo "$1 $server" >> "$CALLS"
case "$1 $server" in
  "get reg.example.com") echo '{"ServerURL":"reg.example.com","Username":"helped","Secret":"s3cret"}';;
  "get token.example.com") echo '{"Username":"<token>","Secret":"r3fresh"}';;
  "get broken.example.com") echo "the keyring is locked"; exit 1;;
  "get nonsense.example.com") echo "hello";;
  store*) exit 0;;
  *) echo "credentials not found in native keychain"; exit 1;;
esac
"""


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home with a helper on its path."""
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    return {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls")}


def config(environ: dict[str, str], value: object) -> Path:
    file = Path(environ["HOME"]) / ".docker/config.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def found(environ: dict[str, str], registry: str, path: str = "", *given: Registry) -> tuple[str, str, str, str] | None:
    credential = Keychain(environ, given).find(registry, path)
    if credential is None:
        return None
    return (
        credential.username,
        credential.password.reveal(),
        credential.identity_token.reveal(),
        credential.source.replace(environ["HOME"], "~"),
    )


def test_none(environ: dict[str, str]) -> None:
    assert found(environ, "reg.example.com") is None
    config(environ, {"auths": {"reg.example.com": {}}})
    assert found(environ, "reg.example.com") is None


@pytest.mark.parametrize("key", ["reg.example.com", "https://reg.example.com", "https://reg.example.com/v1/"])
def test_docker_config(environ: dict[str, str], key: str) -> None:
    config(environ, {"auths": {key: {"auth": auth("bob", "pass:word")}}})
    assert found(environ, "reg.example.com") == ("bob", "pass:word", "", "~/.docker/config.json")
    assert found(environ, "other.example.com") is None


def test_docker_hub_has_a_name_of_its_own(environ: dict[str, str]) -> None:
    config(environ, {"auths": {"https://index.docker.io/v1/": {"auth": auth("bob", "p")}}})
    assert found(environ, "docker.io") == ("bob", "p", "", "~/.docker/config.json")


def test_identity_tokens(environ: dict[str, str]) -> None:
    config(environ, {"auths": {"reg.example.com": {"auth": auth("0000", ""), "identitytoken": "r1"}}})
    assert found(environ, "reg.example.com") == ("0000", "", "r1", "~/.docker/config.json")


def test_docker_config_elsewhere(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.example.com": {"auth": auth("a", "b")}}}))
    assert found({**environ, "DOCKER_CONFIG": str(tmp_path)}, "r.example.com") == ("a", "b", "", "~/config.json")


def test_helpers(environ: dict[str, str]) -> None:
    config(environ, {"credsStore": "test", "auths": {"file.example.com": {"auth": auth("filed", "p")}}})
    assert found(environ, "reg.example.com") == ("helped", "s3cret", "", "docker-credential-test")
    assert found(environ, "token.example.com") == ("<token>", "", "r3fresh", "docker-credential-test")
    assert found(environ, "file.example.com") == ("filed", "p", "", "~/.docker/config.json")
    assert found(environ, "unknown.example.com") is None
    config(environ, {"credHelpers": {"reg.example.com": "test"}})
    assert found(environ, "reg.example.com") == ("helped", "s3cret", "", "docker-credential-test")
    assert found(environ, "token.example.com") is None


def test_helpers_that_fail(environ: dict[str, str]) -> None:
    config(environ, {"credsStore": "test"})
    with pytest.raises(OutOfReach, match="docker-credential-test get failed: the keyring is locked"):
        found(environ, "broken.example.com")
    with pytest.raises(OutOfReach, match=r"answers nonsense for nonsense\.example\.com"):
        found(environ, "nonsense.example.com")
    config(environ, {"credsStore": "absent"})
    with pytest.raises(OutOfReach, match="docker-credential-absent, which Docker's config names, is not installed"):
        found(environ, "reg.example.com")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"reg.example.com": {"auth": "%%%"}}}'])
def test_a_broken_config_is_named(environ: dict[str, str], text: str) -> None:
    file = config(environ, text)
    with pytest.raises(UsageError, match=str(file)):
        found(environ, "reg.example.com")


def test_the_manifest_comes_first_and_the_longest_address_wins(environ: dict[str, str]) -> None:
    config(environ, {"auths": {"reg.example.com": {"auth": auth("docker", "p")}}})
    all_of_it = Registry("all", "https://reg.example.com", "whole", Secret("p"))
    part = Registry("ml", "reg.example.com/ml", "part", Secret("p"))
    assert found(environ, "reg.example.com", "x", part) == ("docker", "p", "", "~/.docker/config.json")
    assert found(environ, "reg.example.com", "x", all_of_it, part) == (
        "whole",
        "p",
        "",
        "registries.all of the manifest",
    )
    assert found(environ, "reg.example.com", "ml/a", all_of_it, part)[0] == "part"  # type: ignore[index]
    assert found(environ, "reg.example.com", "mlx", all_of_it, part)[0] == "whole"  # type: ignore[index]


@pytest.mark.parametrize(("user", "password", "missing"), [("", "p", "username"), ("u", "", "password")])
def test_half_a_credential_says_which_half(environ: dict[str, str], user: str, password: str, missing: str) -> None:
    with pytest.raises(UsageError, match=f"registries.prod: the {missing} is missing"):
        found(environ, "reg.example.com", "", Registry("prod", "reg.example.com", user, Secret(password)))


def test_logging_in_keeps_what_was_there(environ: dict[str, str]) -> None:
    file = config(environ, {"auths": {"a.example.com": {"auth": auth("a", "b")}}, "psFormat": "x"})
    assert save(Credential("reg.example.com", "typed", "bob", Secret("p")), environ) == str(file)
    assert json.loads(file.read_text())["psFormat"] == "x"
    assert file.stat().st_mode & 0o077 == 0
    assert found(environ, "a.example.com") == ("a", "b", "", "~/.docker/config.json")
    assert found(environ, "reg.example.com") == ("bob", "p", "", "~/.docker/config.json")
    save(Credential("acr.example.com", "typed", "0000", identity_token=Secret("r1")), environ)
    assert found(environ, "acr.example.com") == ("0000", "", "r1", "~/.docker/config.json")


def test_logging_in_makes_the_file(environ: dict[str, str]) -> None:
    save(Credential("reg.example.com", "typed", "bob", Secret("p")), environ)
    assert found(environ, "reg.example.com") == ("bob", "p", "", "~/.docker/config.json")


def test_logging_in_by_a_helper(environ: dict[str, str]) -> None:
    file = config(environ, {"credsStore": "test"})
    assert save(Credential("reg.example.com", "typed", "bob", Secret("p")), environ) == "docker-credential-test"
    calls = Path(environ["CALLS"]).read_text()
    assert calls.startswith("store ")
    assert '"Username": "bob"' in calls
    assert "auths" not in json.loads(file.read_text())


def test_credentials_show_no_secret() -> None:
    credential = Credential("r", "s", "bob", Secret("p4ss"), Secret("t0ken"), Secret("3ntra"))
    for text in (repr(credential), str(credential), credential.key):
        assert not any(secret in text for secret in ("p4ss", "t0ken", "3ntra"))
