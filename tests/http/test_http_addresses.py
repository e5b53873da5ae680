"""Addresses and the settings of the network: proxies, waits, and what may be printed of an address."""

from __future__ import annotations

import pytest

from pipeline.errors import OutOfReach
from pipeline.http import retry_after, shown
from pipeline.http.address import Address, Proxy, is_loopback, parsed, proxy_for

TO = Address("https", "reg.example.com", 443)


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"no_proxy": "a.example.com"}, None),
        ({"https_proxy": "http://p:3128"}, Proxy("p", 3128)),
        ({"http_proxy": "http://p:3128"}, None),
        ({"HTTPS_PROXY": "p:3128"}, Proxy("p", 3128)),
        ({"ALL_PROXY": "http://p"}, Proxy("p", 80)),
        ({"https_proxy": "http://me:a%40b@p:1"}, Proxy("p", 1, "me:a@b")),
        ({"https_proxy": "http://p", "NO_PROXY": "*"}, None),
        ({"https_proxy": "http://p", "no_proxy": ".other.com, .example.com"}, None),
        ({"https_proxy": "http://p", "no_proxy": "EXAMPLE.com"}, None),
        ({"https_proxy": "http://p", "no_proxy": "reg.example.com:443"}, None),
        ({"https_proxy": "http://p", "no_proxy": "ample.com,g.example.com,10.0.0.0/8"}, Proxy("p", 80)),
    ],
)
def test_proxies(environ: dict[str, str], proxy: Proxy | None) -> None:
    assert proxy_for(environ, TO) == proxy


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "::1", "10.1.2.3"])
def test_what_no_proxy_is_asked_for(host: str) -> None:
    environ = {"http_proxy": "http://p", "no_proxy": "10.0.0.0/8"}
    assert proxy_for(environ, Address("http", host, 80)) is None


def test_a_proxy_that_cannot_be_used() -> None:
    for value in ("socks5://me:secret@p:1", "https://me:secret@p", "http://", "http://p:x"):
        with pytest.raises(OutOfReach, match=r"the proxy for https://reg.example.com.*http://HOST:PORT") as caught:
            proxy_for({"https_proxy": value}, TO)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "address", "target"),
    [
        ("https://reg.example.com", "https://reg.example.com", "/"),
        ("https://reg.example.com:443/v2/?a=b%2Fc&d", "https://reg.example.com", "/v2/?a=b%2Fc&d"),
        ("http://REG:5000/v2/a b", "http://reg:5000", "/v2/a%20b"),
        ("http://[::1]:5000/", "http://[::1]:5000", "/"),
        ("http://bücher.example/ä#part", "http://xn--bcher-kva.example", "/%C3%A4"),
        ("http://u:secret@reg/", "http://reg", "/"),
    ],
)
def test_addresses(url: str, address: str, target: str) -> None:
    to, found = parsed(url)
    assert (str(to), found) == (address, target)


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "http://a:b/", "http://a b/", "http://[::1/", "a"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(OutOfReach, match="is no address"):
        parsed(url)


@pytest.mark.parametrize(
    ("netloc", "expected"),
    [
        ("localhost:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("127.example.com", False),
        ("127.0.0.1.example.com:5000", False),
        ("127.0.0.1@example.com", False),
    ],
)
def test_this_machine_itself(netloc: str, expected: bool) -> None:
    assert is_loopback(netloc) is expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-3", 0.0),
        ("\u00b2", 0.0),
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
