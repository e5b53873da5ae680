"""What a registry's refusal tells the user: bodies as docker-registry sends them."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import PipelineError
from pipeline.http import Response
from pipeline.registry.problems import problem

FULL = {
    "code": "UNKNOWN",
    "message": "unknown error",
    "detail": {"DriverName": "filesystem", "Enclosed": {"Op": "write", "Path": "/var/lib/x", "Err": 28}},
}


def told(status: int, body: bytes) -> PipelineError:
    return problem(Response(status, {}, lambda: iter([body])), "registry.example.com/ml/one", "", lambda: 0.0)


def test_a_full_disk_behind_an_unknown_error_is_named() -> None:
    error = told(500, json.dumps({"errors": [FULL]}).encode())
    assert "the registry's disk is full (500, UNKNOWN)" in error.message
    assert "make room" in error.remedy


@pytest.mark.parametrize("detail", [None, "text", {"Enclosed": None}, {"Enclosed": {"Err": 5}}])
def test_another_detail_leaves_the_message(detail: object) -> None:
    error = told(500, json.dumps({"errors": [{**FULL, "detail": detail}]}).encode())
    assert "unknown error (500, UNKNOWN)" in error.message
    assert error.transient


def test_a_registry_that_takes_nothing_may_be_read_only() -> None:
    error = told(405, b"Method not allowed\n")
    assert error.message == "registry.example.com/ml/one: the registry does not allow this (405)"
    assert "read-only" in error.remedy
    assert not error.transient


def test_plain_http_to_a_tls_port_is_named() -> None:
    error = told(400, b"Client sent an HTTP request to an HTTPS server.\n")
    assert "it speaks TLS, and was asked by plain HTTP (400)" in error.message
    assert "`insecure`" in error.remedy


def test_what_a_registry_says_moves_no_cursor() -> None:
    error = told(400, json.dumps({"errors": [{"code": "\x1b[2J", "message": "\x1b[31mred\nline"}]}).encode())
    assert "[31mred line (400, [2J)" in error.message


def test_a_refusal_that_nests_too_deep_is_a_refusal() -> None:
    assert "bad request (400)" in told(400, b'{"errors":' + b"[" * 100_000).message


@pytest.mark.parametrize("who", ["", "user bob"])
def test_an_address_that_a_firewall_keeps_out_need_not_log_in(who: str) -> None:
    words = "client with IP '203.0.113.9' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
    body = json.dumps({"errors": [{"code": "DENIED", "message": words, "detail": None}]}).encode()
    error = problem(Response(403, {}, lambda: iter([body])), "prod.azurecr.io/ml/one", who, lambda: 0.0)
    assert "client with IP '203.0.113.9' is not allowed access" in error.message
    assert "firewall" in error.remedy and "log in" not in error.remedy and not error.transient
