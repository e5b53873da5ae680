"""What the API server's service proxy answers in place of a service."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.kubernetes.client import KubernetesCluster

pytest.importorskip("kubernetes")


def answering(status: int, body: bytes) -> KubernetesCluster:
    response = SimpleNamespace(status=status, read=lambda: body)
    api = SimpleNamespace(
        configuration=SimpleNamespace(host="https://memory.invalid"),
        param_serialize=lambda *words, **_: words,
        call_api=lambda *_words, **_: SimpleNamespace(response=response),
    )
    return KubernetesCluster(api, "default")


def told(code: int, message: str) -> bytes:
    value: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "message": message, "code": code}
    return json.dumps(value).encode()


@pytest.mark.parametrize("code", [500, 502, 503])
def test_a_pod_that_the_api_server_does_not_reach_has_not_answered(code: int) -> None:
    refused = "error trying to reach service: dial tcp 172.17.0.12:80: connect: connection refused"
    with pytest.raises(ConnectionError, match="connection refused"):
        answering(code, told(code, refused)).call("shop-prod", 80, "/score", b"[1]", {}, 5)


def test_a_service_that_fails_has_answered() -> None:
    assert answering(500, b"boom").call("shop-prod", 80, "/score", b"[1]", {}, 5).status == 500
