"""The server's settings: what a file means, and all that can be wrong with one, each with its place and remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.errors import ManifestError
from pipeline.serve.reading import read
from pipeline.serve.schema import schema, text
from pipeline.serve.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
TOKEN = "0123456789abcdef0123456789abcdef"
ENVIRON = {
    "HOST_TOKEN": "host-token-1",
    "HOOK_SECRET": "hook-secret-1",
    "REGISTRY_PASSWORD": "hunter22",
    "REGISTRY": "r",
    "CI_TOKEN": TOKEN,
}
WHOLE = """\
version: 1
url: https://pipeline.example.com/
listen: 0.0.0.0:9000
runs: ${env:RUNS:-3}
keep: 30d
repositories:
  models:
    url: https://github.com/acme/models.git
    branch: live
    folders: [manifests, ./more/]
    poll: 2m
    host: {token: "${env:HOST_TOKEN}", webhook_secret: "${env:HOOK_SECRET}"}
    signed: {ssh: signers}
    rebuild: apply
    bases: 6h
    drift: {look: 5m, do: mend}
    approve: true
    prune: true
    pull_requests: {plan: true, forks: true}
    environment: [REGISTRY, REGISTRY_PASSWORD]
  local:
    url: repo
    environment: {STAGE: test, COUNT: 3, MY_TOKEN: abc}
messages:
  team: {slack: "https://hooks.example.com/x", on: [failed, recovered]}
access:
  tokens: {ci: {role: act, token: "${env:CI_TOKEN}"}}
  tls: {certificate: tls.crt, key: tls.key}
traces: http://127.0.0.1:4318
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    for name in ("signers", "tls.crt", "tls.key"):
        (tmp_path / name).write_text("x")
    return tmp_path


def of(folder: Path, text: str) -> Settings:
    (folder / "serve.yaml").write_text(text)
    return read(folder / "serve.yaml", ENVIRON)


def flaws(folder: Path, text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        of(folder, text)
    return [str(one).replace(f"{folder}/", "").partition("\n")[0] for one in caught.value.diagnostics]


def test_a_file_says_everything(folder: Path) -> None:
    settings = of(folder, WHOLE)
    assert (settings.host, settings.port, settings.url) == ("0.0.0.0", 9000, "https://pipeline.example.com")
    assert (settings.runs, settings.keep, settings.traces) == (3, 30.0, "http://127.0.0.1:4318")
    one = settings.repositories["models"]
    assert (one.branch, one.folders, one.poll) == ("live", ("manifests", "more"), 120.0)
    assert (one.host.kind, one.host.api, one.host.project) == ("github", "https://api.github.com", "acme/models")
    assert one.token and one.token.reveal() == "host-token-1" and one.username
    assert one.signed and one.signed.ssh == str(folder / "signers")
    policies = one.policies
    assert (policies.rebuild, policies.bases, policies.drift, policies.look) == ("apply", 21600.0, "mend", 300.0)
    assert policies.approve and policies.prune and one.requests and one.forks
    local = settings.repositories["local"]
    assert local.url == str(folder / "repo") and not local.host.kind
    assert {name: str(value) for name, value in local.environment.items()} == {
        "STAGE": "test",
        "COUNT": "3",
        "MY_TOKEN": "***",
    }
    assert settings.access.certificate == folder / "tls.crt"
    (message,) = settings.messages
    assert (message.kind, message.on) == ("slack", ("failed", "recovered"))


def test_secrets_are_known_and_never_shown(folder: Path) -> None:
    settings = of(folder, WHOLE)
    secrets = {one.reveal() for one in settings.secrets}
    assert {"host-token-1", "hook-secret-1", "hunter22", "abc", TOKEN, "https://hooks.example.com/x"} <= secrets
    assert not [secret for secret in secrets if secret in repr(settings) + json.dumps(settings.data)]


def test_what_is_not_said_has_a_default(folder: Path) -> None:
    settings = of(folder, "version: 1\nrepositories: {models: {url: repo}}\n")
    one = settings.repositories["models"]
    assert (settings.host, settings.port, settings.runs, settings.keep) == ("127.0.0.1", 8800, 2, 90.0)
    assert (one.branch, one.folders, one.poll, one.requests, one.forks) == ("main", ("manifests",), 60.0, True, False)


HEAD = "version: 1\nrepositories:\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("- a\n", "serve.yaml:1:1: the server's settings are a mapping"),
        ("version: 1\n", "missing key 'repositories'"),
        (f"{HEAD}  a: {{url: repo, branc: x}}\n", "3:18: unknown key 'branc' (did you mean 'branch'?)"),
        (f"{HEAD}  a: {{url: repo, poll: 1s}}\n", "'poll' is out of range: 1s (5s or more"),
        (f"{HEAD}  a: {{url: 'ftp://h/x'}}\n", "'ftp' is no protocol"),
        (f"{HEAD}  a: {{url: 'http://git.example.com/x'}}\n", "plain HTTP shows tokens"),
        (f"{HEAD}  a: {{url: 'https://u:pw12@git.example.com/x'}}\n", "the address holds a password"),
        (f"{HEAD}  a: {{url: 'https://git.example.com/x', host: {{}}}}\n", "whose API this is"),
        (f"{HEAD}  a: {{url: 'https://git.example.com/x', host: {{kind: svn}}}}\n", "'kind' cannot be 'svn'"),
        (f"{HEAD}  a: {{url: repo}}\n  b: {{url: ./repo/}}\n", "'a' watches this folder of this branch already"),
        (f"{HEAD}  a: {{url: repo, environment: [NOPE]}}\n", "the environment variable NOPE is not set"),
        (f"{HEAD}  a: {{url: repo, environment: [PIPELINE_HOME]}}\n", "PIPELINE_… are the server's own"),
        (f"{HEAD}  a: {{url: repo, signed: {{ssh: none}}}}\n", "'none' does not exist"),
        (f"{HEAD}  a: {{url: repo, folders: [../x]}}\n", "a folder of the repository"),
        (f"{HEAD}  a: {{url: repo, branch: '${{env:HOST_TOKEN}}'}}\n", "a secret would be shown or kept by 'branch'"),
        (f"{HEAD}  a: {{url: repo}}\nmessages: {{m: {{on: [failed]}}}}\n", "'m' has no address"),
        (f"{HEAD}  a: {{url: repo}}\nlisten: 127.0.0.1:65536\n", "ports end with 65535"),
        (f"{HEAD}  a: {{url: repo}}\nlisten: 0.0.0.0:8800\n", "can be reached from elsewhere"),
        (f"{HEAD}  a: {{url: repo}}\naccess: {{tokens: {{x: {{role: act, token: short}}}}}}\n", "has 5 characters"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, text: str, wanted: str) -> None:
    found = flaws(folder, text)
    assert any(wanted in one for one in found), found
    assert all(re.match(r"serve.yaml:\d+:\d+: ", one) for one in found), found
    assert not any("pw12" in one or "host-token-1" in one for one in found)


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    text = f"{HEAD}  a: {{url: 'ftp://h/x', poll: 1s, x: 1}}\nruns: 0\nmessages: {{m: {{}}}}\n"
    assert len(flaws(folder, text)) == 5


# -- the schema, and what is written of it ----------------------------------------------------------------------------


def test_the_schema_file_is_current_and_sound() -> None:
    """`python -m pipeline.serve.schema > schemas/serve.schema.json` brings it up to date."""
    assert (ROOT / "schemas/serve.schema.json").read_text() == text()
    Draft202012Validator.check_schema(schema())


def settings_of(value: Any, path: str = "") -> list[str]:
    """Every setting, by its dotted name below its section."""
    found = []
    for name, one in value.get("properties", {}).items():
        found += [f"{path}{name}", *settings_of(one, f"{path}{name}.")]
    return found


@pytest.mark.parametrize("section", ["", "repositories", "messages", "access"])
def test_every_setting_is_documented(section: str) -> None:
    properties = schema()["properties"]
    if not section:
        names = [*properties]
    elif section == "access":
        names = settings_of(properties["access"])
    else:
        names = settings_of(properties[section]["additionalProperties"])
    missing = [name for name in names if not re.search(rf"`([\w.]+\.)?{re.escape(name)}[`:.]", PAGE)]
    assert not missing, f"docs/serve.md says nothing of {', '.join(missing)}"


def test_an_address_with_a_password_is_refused_without_showing_it(folder: Path) -> None:
    text = "version: 1\nrepositories: {a: {url: 'https://u:pw12@git.example.com/x'}}\n"
    with pytest.raises(ManifestError) as caught:
        of(folder, text)
    told = str(caught.value) + "".join(one.source_line for one in caught.value.diagnostics)
    assert "holds a password" in told and "pw12" not in told
