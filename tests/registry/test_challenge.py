"""WWW-Authenticate headers, as registries and RFC 9110 write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.registry.challenge import parse


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ("Basic", [("basic", {})]),
        (
            'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example.com/token",
                        "service": "registry",
                        "scope": "repository:a:pull,push",
                    },
                )
            ],
        ),
        (
            'BEARER Realm = "a\\"b" , service=plain, Basic realm="c, d"',
            [("bearer", {"realm": 'a"b', "service": "plain"}), ("basic", {"realm": "c, d"})],
        ),
        (
            'Negotiate, Basic realm="x", charset="UTF-8"',
            [("negotiate", {}), ("basic", {"realm": "x", "charset": "UTF-8"})],
        ),
    ],
)
def test_parsed(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, dict(c.parameters)) for c in parse(header)] == challenges


@given(st.text(max_size=60))
def test_any_header_can_be_read(header: str) -> None:
    assert isinstance(parse(header), list)
