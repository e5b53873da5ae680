"""The settings of the network: proxies, waits, and what may be printed of an address."""

from __future__ import annotations

import pytest

from pipeline.http import proxies, retry_after, shown

LOOPBACK = {"all://localhost": None, "all://127.0.0.1": None, "all://[::1]": None}


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, {}),
        ({"no_proxy": "a.example.com"}, {}),
        ({"https_proxy": "http://p:3128"}, {"https://": "http://p:3128"}),
        ({"HTTP_PROXY": "p:3128"}, {"http://": "http://p:3128"}),
        ({"ALL_PROXY": "http://p"}, {"http://": "http://p", "https://": "http://p"}),
        ({"https_proxy": "http://p", "NO_PROXY": "*"}, {}),
        (
            {"https_proxy": "http://p", "no_proxy": ".example.com, 10.0.0.1"},
            {"https://": "http://p", "all://example.com": None, "all://*.example.com": None, "all://10.0.0.1": None},
        ),
    ],
)
def test_proxies(environ: dict[str, str], found: dict[str, str | None]) -> None:
    assert proxies(environ) == (found | LOOPBACK if found else {})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert retry_after(value, 100.0) == seconds


def test_what_is_shown_of_an_address() -> None:
    assert (
        shown("https://u:secret@storage.example.com:8443/blob?sig=signature#x")
        == "https://storage.example.com:8443/blob"
    )
