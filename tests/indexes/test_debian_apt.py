"""What is read of apt's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.indexes.debian_apt import AptSettings, login_for, read_options
from pipeline.indexes.debian_http import proxies


def settings(etc: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> AptSettings:
    for name, text in files.items():
        (etc / "apt" / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / "apt" / name).write_text(text)
    return AptSettings.read(etc, environ or {})


DEB822 = """\
# comment
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Check-Valid-Until: no

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def test_deb822_sources(tmp_path: Path) -> None:
    apt = settings(tmp_path, {"sources.list.d/debian.sources": DEB822})
    main = apt.source("debian", "amd64", security=False)
    security = apt.source("debian", "amd64", security=True)
    assert main and security
    assert (main.uri, main.signed_by) == ("http://mirror.example/debian", "/keys/debian-archive-keyring.gpg")
    assert (security.uri, security.check_date) == ("http://mirror.example/debian-security", False)
    assert len(apt.sources) == 2


def test_one_line_sources(tmp_path: Path) -> None:
    text = "# deb http://no.example/debian bookworm main\n"
    text += "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bullseye main\n"
    source = settings(tmp_path, {"sources.list": text}).source("debian", "amd64", security=False)
    assert source and (source.uri, source.signed_by) == ("http://m.example/debian", "/k.gpg")


def test_a_source_of_another_architecture_is_none(tmp_path: Path) -> None:
    apt = settings(tmp_path, {"sources.list": "deb [arch=amd64] http://m.example/debian bookworm main\n"})
    assert apt.source("debian", "arm64", security=False) is None


def test_third_parties_that_use_a_release_name_are_passed_over(tmp_path: Path) -> None:
    lines = (
        "deb [signed-by=/usr/share/keyrings/other.gpg] https://apt.example.com bookworm main\n"
        "deb https://download.example/linux/debian bookworm stable\n"
        "deb http://m.example/mirror/debian bookworm main contrib\n"
    )
    source = settings(tmp_path, {"sources.list": lines}).source("debian", "amd64", security=False)
    assert source and source.uri == "http://m.example/mirror/debian"


def test_ubuntu_keeps_ports_apart(tmp_path: Path) -> None:
    lines = "deb http://m.example/ubuntu noble main\ndeb http://p.example/ubuntu-ports noble main\n"
    apt = settings(tmp_path, {"sources.list": lines})
    amd64, arm64 = (apt.source("ubuntu", a, security=False) for a in ("amd64", "arm64"))
    assert amd64 and amd64.uri == "http://m.example/ubuntu"
    assert arm64 and arm64.uri == "http://p.example/ubuntu-ports"
    assert apt.source("debian", "amd64", security=False) is None


def test_nothing_there_is_nothing_read(tmp_path: Path) -> None:
    assert AptSettings.read(tmp_path / "none", {}) == AptSettings()


def test_options_nested_and_flat() -> None:
    text = """
    // comment
    Acquire::http::Proxy "http://p.example:3128/"; # comment
    Acquire { https { Proxy "http://s.example:3129"; CaInfo "/ca.pem"; }; Retries "3"; };
    APT::NeverAutoRemove { "^a.*"; };
    """
    options = read_options(text)
    assert options["acquire::http::proxy"] == "http://p.example:3128/"
    assert options["acquire::https::proxy"] == "http://s.example:3129"
    assert options["acquire::https::cainfo"] == "/ca.pem"
    assert options["acquire::retries"] == "3"


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({}, {}, {}),
        ({}, {"http_proxy": "http://e:1"}, {"http://": "http://e:1"}),
        (
            {"acquire::http::proxy": "http://a:1"},
            {"http_proxy": "http://e:1"},
            {"http://": "http://a:1", "https://": "http://a:1"},
        ),
        ({"acquire::http::proxy": "DIRECT"}, {"http_proxy": "http://e:1"}, {}),
        ({"acquire::http::proxy::m.example": "DIRECT"}, {}, {"http://m.example": None}),
        ({}, {"no_proxy": "*", "http_proxy": "http://e:1"}, {}),
    ],
)
def test_proxies(options: dict[str, str], environ: dict[str, str], expected: dict[str, str | None]) -> None:
    assert proxies(options, environ) == expected


def test_credentials_go_to_the_machine_they_are_for(tmp_path: Path) -> None:
    auth = "machine m.example/debian login u password p\nmachine http://plain.example\n  login v password q\n"
    (tmp_path / "netrc").write_text("machine n.example login w password sesame\n")
    apt = settings(tmp_path, {"auth.conf.d/a.conf": auth}, {"NETRC": str(tmp_path / "netrc")})

    def user(url: str) -> str | None:
        login = login_for(url, apt.logins)
        return login.user if login else None

    assert user("https://m.example/debian/dists/x") == "u"
    assert user("https://m.example/other") is None
    assert user("http://m.example/debian/") is None
    assert user("http://plain.example/debian") == "v"
    assert user("https://n.example/x") == "w"
    assert "sesame" not in repr(apt)
