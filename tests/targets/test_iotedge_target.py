"""The target `iotedge`: deployment manifests, in files and by a double of an IoT hub that checks what it is sent."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, unquote

import pytest
from azure_double import refuse, reply
from azure_services import ACCOUNT, Azure, Time, azure_on, release
from registry_doubles import Exchange

from pipeline.azure.edge_manifest import manifest
from pipeline.errors import UsageError
from pipeline.manifest.model import Secret
from pipeline.manifest.validate import answer_flaw
from pipeline.stages import gate
from pipeline.stages.scoring import Unfit
from pipeline.stages.verified import VerifiedFiles
from pipeline.targets import iotedge
from pipeline.targets.remote import RemoteTarget

KEY = base64.b64encode(b"the-k3y-of-the-policy").decode()
OTHER = {
    "type": "docker",
    "status": "running",
    "restartPolicy": "always",
    "version": "1.0",
    "settings": {"image": "mcr.microsoft.com/other:1"},
}
TEXT = {"type": "string"}
SETTINGS = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {"image": TEXT},
    "patternProperties": {"^createOptions[0-9]*$": {"type": "string", "maxLength": 512}},
}
ENV = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": {r"^[^\+#$\s\.]+$": {"type": "object", "required": ["value"]}},
}
MODULE = {
    "type": "object",
    "required": ["type", "status", "restartPolicy", "settings"],
    "additionalProperties": False,
    "properties": {
        "version": TEXT,
        "type": {"const": "docker"},
        "status": {"enum": ["running", "stopped"]},
        "restartPolicy": {"enum": ["never", "on-failure", "on-unhealthy", "always"]},
        "env": ENV,
        "settings": SETTINGS,
        "startupOrder": {"type": "integer"},
    },
}
CREDENTIALS = {
    "type": "object",
    "required": ["username", "password", "address"],
    "additionalProperties": False,
    "properties": {"username": TEXT, "password": TEXT, "address": TEXT},
}
AGENT = {
    "type": "object",
    "required": ["schemaVersion", "runtime", "systemModules", "modules"],
    "additionalProperties": False,
    "properties": {
        "schemaVersion": TEXT,
        "runtime": {
            "properties": {
                "settings": {
                    "additionalProperties": False,
                    "properties": {
                        "minDockerVersion": TEXT,
                        "loggingOptions": TEXT,
                        "registryCredentials": {"patternProperties": {"^[^.$# ]+$": CREDENTIALS}},
                    },
                }
            }
        },
        "systemModules": {"type": "object", "required": ["edgeAgent", "edgeHub"]},
        "modules": {"patternProperties": {"^[a-zA-Z0-9_-]+$": MODULE}, "additionalProperties": False},
    },
}


def wrong(value: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with a manifest by the rules that IoT Edge publishes."""
    content = value["modulesContent"]
    assert {*value} == {"modulesContent"} and {*content} == {"$edgeAgent", "$edgeHub"}
    assert {"schemaVersion", "routes"} <= {*content["$edgeHub"]["properties.desired"]}
    return answer_flaw(content["$edgeAgent"]["properties.desired"], AGENT)


class Hub:
    """One device, `edge-1`. What it is given it runs at the next `settled`, if nothing is wrong."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.twins: dict[str, dict[str, Any]] = {}
        for name in ("$edgeAgent", "$edgeHub"):
            self.twins[name] = {"properties": {"desired": {"$metadata": {}, "$version": 1}, "reported": {}}}
        self.applied: list[dict[str, Any]] = []

    @property
    def modules(self) -> dict[str, Any]:
        return dict(self.twins["$edgeAgent"]["properties"]["desired"].get("modules") or {})

    def answer(self, exchange: Exchange, path: str, query: Mapping[str, list[str]]) -> None:
        raw = exchange.body()
        if query.get("api-version") != ["2021-04-12"] or not self._signed(exchange.headers["Authorization"]):
            refuse(exchange, 401, "IotHubUnauthorizedAccess", "Unauthorized")
            return
        parts = unquote(path).strip("/").split("/")
        if parts[1] != "edge-1":
            refuse(exchange, 404, "DeviceNotFound", "The device is not there.")
        elif parts[-1] == "applyConfigurationContent":
            self._apply(json.loads(raw))
            exchange.reply(204, {})
        elif parts[-1] == "methods":
            asked = json.loads(raw)
            assert asked["methodName"] == "GetModuleLogs"
            lines = ["a", "b"][-asked["payload"]["items"][0]["filter"].get("tail", 9) :]
            reply(exchange, 200, {"status": 200, "payload": [{"id": "m", "payload": "\n".join(lines)}]})
        else:
            reply(exchange, 200, self.twins[parts[3]])

    def _signed(self, header: str) -> bool:
        fields = dict(parse_qsl(header.removeprefix("SharedAccessSignature ")))
        text = f"{quote_plus(self.host)}\n{fields['se']}".encode()
        wanted = base64.b64encode(hmac.new(base64.b64decode(KEY), text, hashlib.sha256).digest()).decode()
        return fields == {"sr": self.host, "sig": wanted, "se": fields["se"], "skn": "service"}

    def _apply(self, value: dict[str, Any]) -> None:
        assert wrong(value) == ("", "")
        self.applied.append(value)
        for name, twin in self.twins.items():
            version = twin["properties"]["desired"]["$version"] + 1
            desired = value["modulesContent"][name]["properties.desired"]
            twin["properties"]["desired"] = {**copy.deepcopy(desired), "$version": version, "$metadata": {}}

    def settled(self, code: int = 200, words: str = "", **module: Any) -> None:
        twin = self.twins["$edgeAgent"]["properties"]
        reported = {"lastDesiredVersion": twin["desired"]["$version"], "lastDesiredStatus": {"code": code}}
        if words:
            reported["lastDesiredStatus"]["description"] = words
        modules = {
            name: {"runtimeStatus": one["status"], "settings": one["settings"], **module}
            for name, one in (twin["desired"].get("modules") or {}).items()
        }
        twin["reported"] = {**reported, "modules": modules}


class Lab:
    def __init__(self, azure: Azure, time: Time, folder: Path) -> None:
        self.azure, self.time, self.folder = azure, time, folder
        self.hub = Hub(azure.base.removeprefix("https://"))
        azure.hub = self.hub.answer
        self.spec = {"image": "web", "hub": self.hub.host, "device": "edge-1"}

    def target(self, key: str = KEY, **settings: Any) -> RemoteTarget:
        policy = f"HostName={self.hub.host};SharedAccessKeyName=service;SharedAccessKey={key}"
        around = self.azure.around(self.time, self.folder, ACCOUNT, IOTHUB_CONNECTION_STRING=policy)
        return iotedge.target("shop-prod", {**self.spec, **settings}, around)

    def passed(self, wanted: Any, **how: Any) -> gate.Outcome:
        verified = VerifiedFiles(self.folder / "verified")

        def wait(seconds: float) -> None:
            self.time.wait(seconds)
            self.hub.settled(**how)

        score = {"request": 1}
        return gate.release(
            self.target(), wanted, verified=verified, deadline=60, score=score, clock=self.time, wait=wait
        )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with azure_on(tmp_path) as (azure, time):
        yield Lab(azure, time, tmp_path)


def test_row_54_a_deployment_manifest_follows_the_published_rules() -> None:
    wanted = release(
        env={"TOKEN": Secret("s3cret"), "LEVEL": "info"},
        create_options={"HostConfig": {"Runtime": "nvidia"}, "Labels": {"text": "x" * 600}},
        routes={"all": "FROM /messages/* INTO $upstream"},
        restart="no",
    )
    value = manifest(wanted, ACCOUNT, secrets=False)
    assert wrong(value) == ("", "")
    agent = value["modulesContent"]["$edgeAgent"]["properties.desired"]
    module = agent["modules"]["shop-prod"]
    assert module["settings"]["image"] == wanted.reference
    assert module["env"]["TOKEN"] == {"value": "${TOKEN}"}
    assert module["restartPolicy"] == "never"
    pieces = [text for name, text in sorted(module["settings"].items()) if name != "image"]
    assert len(pieces) == 2
    options = json.loads("".join(pieces))
    assert options["HostConfig"] == {"PortBindings": {"5001/tcp": [{"HostPort": "5001"}]}, "Runtime": "nvidia"}
    credentials = agent["runtime"]["settings"]["registryCredentials"]["prod-azurecr-io"]
    assert credentials["password"] == "${REGISTRY_PASSWORD_PROD_AZURECR_IO}"
    assert "s3cret" not in str(value) and "pull-w0rd" not in str(value)


def test_a_file_is_written_and_says_so(lab: Lab) -> None:
    around = lab.azure.around(lab.time, lab.folder, ACCOUNT)
    target = iotedge.target("shop-prod", {"image": "web", "file": "out/deployment.json"}, around)
    assert target.observe().state == "absent"
    first, second = release(), release("two", env={"TOKEN": Secret("s3cret")})
    verified = VerifiedFiles(lab.folder / "verified")
    for one in (first, second):
        passed = gate.release(target, one, verified=verified, score={"request": 1}, clock=lab.time, wait=lab.time.wait)
        assert passed.observation.revision == one.revision
        assert "written to out/deployment.json" in passed.observation.detail
        assert gate.is_live(target, one, verified)
    text = (lab.folder / "out/deployment.json").read_text()
    assert text == iotedge.render(second, around)
    assert "s3cret" not in text
    assert target.rollback(first).revision == first.revision
    assert target.stop().state == target.stop().state == "absent"
    assert not list((lab.folder / "out").iterdir())


def test_a_file_that_cannot_be_written(lab: Lab) -> None:
    (lab.folder / "out").write_text("")
    around = lab.azure.around(lab.time, lab.folder)
    with pytest.raises(UsageError, match=r"out/deployment\.json: "):
        iotedge.target("shop-prod", {"image": "web", "file": "out/deployment.json"}, around).rollout(release())


def test_a_device_is_given_a_module_beside_its_own(lab: Lab) -> None:
    desired = manifest(release("zero"), None, secrets=True)["modulesContent"]["$edgeAgent"]["properties.desired"]
    lab.hub.twins["$edgeAgent"]["properties"]["desired"] = {**desired, "modules": {"theirs": OTHER}, "$version": 4}
    wanted = release(env={"TOKEN": Secret("s3cret")})
    assert lab.target().observe().state == "absent"
    passed = lab.passed(wanted)
    assert passed.observation.state == "running"
    assert passed.observation.image == wanted.image
    assert passed.score is None
    assert "not scored from here" in passed.observation.detail
    assert lab.hub.modules["theirs"] == OTHER
    assert lab.hub.modules["shop-prod"]["env"]["TOKEN"] == {"value": "s3cret"}
    runtime = lab.hub.twins["$edgeAgent"]["properties"]["desired"]["runtime"]["settings"]
    assert runtime["registryCredentials"]["prod-azurecr-io"]["password"] == "pull-w0rd"
    lab.passed(wanted)
    assert len(lab.hub.applied) == 1
    lab.hub.twins["$edgeAgent"]["properties"]["desired"]["modules"]["shop-prod"]["env"]["TOKEN"]["value"] = "x"
    assert [str(one) for one in lab.target().differences(wanted)] == ["module environmentVariables TOKEN: *** → ***"]


def test_a_device_that_fails_gets_back_what_passed(lab: Lab) -> None:
    first, second = release(), release("two")
    lab.passed(first)
    lab.hub.settled()
    target = lab.target()
    target.rollout(second)
    assert target.observe().state == "starting"
    lab.hub.settled(runtimeStatus="backoff", statusDescription="Exited (3)", exitCode=3)
    assert target.observe().detail == "Exited (3), exit code 3"
    lab.hub.settled(code=400, words="invalid create options")
    assert target.observe().detail == "the device says: invalid create options"
    with pytest.raises(Unfit, match="the device says: invalid create options"):
        lab.passed(second, code=400, words="invalid create options")
    assert lab.hub.modules["shop-prod"]["settings"]["image"] in (first.reference, second.reference)


def test_stop_start_and_logs(lab: Lab) -> None:
    lab.passed(release())
    target = lab.target()
    assert list(target.logs()) == ["a", "b"]
    assert list(target.logs(lines=1)) == ["b"]
    assert target.stop().state == target.stop().state == "stopped"
    assert lab.passed(release()).observation.state == "running"


def test_bad_places_and_keys(lab: Lab) -> None:
    with pytest.raises(UsageError, match="has no IoT Edge device edge-2"):
        lab.target(device="edge-2").rollout(release())
    with pytest.raises(UsageError, match="IOTHUB_CONNECTION_STRING is none") as caught:
        lab.target(key="not base64!").rollout(release())
    assert "not base64" not in str(caught.value)
    wrong_key = base64.b64encode(b"other").decode()
    with pytest.raises(UsageError, match="refuses the policy") as refused:
        lab.target(key=wrong_key).rollout(release())
    assert wrong_key not in str(refused.value)


def test_flaws() -> None:
    def places(**spec: Any) -> list[tuple[str | int, ...]]:
        return [place for place, _, _ in iotedge.flaws(spec)]

    assert places(file="f") == places(hub="h", device="d") == []
    assert places() == [()]
    assert places(hub="h") == [("hub",)]
    assert places(file="f", env={"A.B": "1"}) == [("env", "A.B")]
