"""Channels by the user's settings, and what happens on the way to one that is not in a folder."""

from __future__ import annotations

import base64
import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from condamaker import Channel as Folder_
from condamaker import python

from pipeline.errors import AssembleError, ResolveError, UsageError
from pipeline.indexes.conda import Conda
from pipeline.indexes.conda_channels import Channel, channels, read_settings
from pipeline.layers._environment import Environment

GLIBC = [("__glibc", "2.36", "0")]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder to those who sign in, if a password is set."""

    password = ""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"me:{self.password}".encode()).decode()
        if self.password and self.headers.get("Authorization") != wanted:
            self.send_error(401)
            return
        super().do_GET()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Path, str], str]]:
    """Serves a folder on this machine, and gives its address."""
    servers = []

    def start(folder: Path, password: str = "") -> str:
        handler = type("_Handler", (Handler,), {"password": password})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _conda(tmp_path: Path, **environ: str) -> Conda:
    user = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ}
    return Conda(tmp_path / "cache", user, lambda _text: None, etc=tmp_path / "etc")


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("conda-forge", "conda-forge", "https://conda.anaconda.org/conda-forge"),
        ("conda-forge/label/dev", "conda-forge/label/dev", "https://conda.anaconda.org/conda-forge/label/dev"),
        ("https://conda.anaconda.org/bioconda/", "bioconda", "https://conda.anaconda.org/bioconda"),
        ("https://me:pw@host/a/b", "a/b", "https://me:pw@host/a/b"),
        ("https://host/t/tk-1/private", "private", "https://host/t/tk-1/private"),
        ("file:///srv/x/mine", "mine", "file:///srv/x/mine"),
    ],
)
def test_a_channel_has_a_name_without_host_or_credentials(text: str, name: str, address: str, tmp_path: Path) -> None:
    settings = read_settings({"HOME": str(tmp_path)}, tmp_path)
    assert channels([text], [], settings, None) == (Channel(name, address),)  # type: ignore[arg-type]


def test_condarc_says_where_channels_are(tmp_path: Path) -> None:
    (tmp_path / ".condarc").write_text(
        "channel_alias: https://${WHO}.example/conda/\nchannels: [mine, defaults]\n"
        "default_channels: [https://repo.example/pkgs/main]\ncustom_channels: {mine: https://my.example/c}\n"
        "ssl_verify: false\nproxy_servers: {https: http://proxy.example:3128}\n"
    )
    settings = read_settings({"HOME": str(tmp_path), "WHO": "corp"}, tmp_path / "etc")
    found = channels([], ["extra::thing"], settings, None)  # type: ignore[arg-type]
    assert {each.name: each.address for each in found} == {
        "mine": "https://my.example/c/mine",
        "pkgs/main": "https://repo.example/pkgs/main",
        "extra": "https://corp.example/conda/extra",
    }
    assert (settings.verify, settings.proxies) == ("false", {"https": "http://proxy.example:3128"})


def test_channels_that_only_their_hosts_tell_apart_are_refused(tmp_path: Path) -> None:
    settings = read_settings({"HOME": str(tmp_path)}, tmp_path)
    with pytest.raises(UsageError, match="two channels are called c "):
        channels(["https://a/c", "https://b/c"], [], settings, None)  # type: ignore[arg-type]


def test_a_channel_behind_a_password(tmp_path: Path, serve: Callable[[Path, str], str]) -> None:
    made = Folder_(tmp_path / "www/ml")
    python(made, "3.11.7")
    address = serve(tmp_path / "www", "hunter2")
    asked = Environment(channels=("ml",), dependencies=("libz",))

    def solve(conda: Conda) -> list[str]:
        packages = conda.solve(asked, subdir="linux-64", virtual=GLIBC, files=None)  # type: ignore[arg-type]
        return [f"{package['channel']}::{package['name']}" for package in packages]

    with pytest.raises(ResolveError, match="refuses the credentials, or needs some"):
        solve(_conda(tmp_path / "none", CONDA_CHANNEL_ALIAS=address))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    assert solve(_conda(tmp_path / "a", CONDA_CHANNEL_ALIAS=address, NETRC=str(netrc))) == ["ml::libz"]
    signed = address.replace("://", "://me:hunter2@")
    assert solve(_conda(tmp_path / "b", CONDA_CHANNEL_ALIAS=signed)) == ["ml::libz"]


def test_what_was_downloaded_is_checked(tmp_path: Path, serve: Callable[[Path], str]) -> None:
    made = Folder_(tmp_path / "www/ml")
    made.package("thing", "1")
    asked = Environment(channels=("ml",), dependencies=("thing",))
    conda = _conda(tmp_path / "home", CONDA_CHANNEL_ALIAS=serve(tmp_path / "www"))
    packages = conda.solve(asked, subdir="linux-64", virtual=GLIBC, files=None)  # type: ignore[arg-type]
    made.package("thing", "1", {"share/other": "x"})

    def link(into: str) -> None:
        conda.link(packages, asked, None, subdir="linux-64", prefix="/p", into=tmp_path / into)  # type: ignore[arg-type]

    with pytest.raises(AssembleError, match="damaged, or not the one that was locked"):
        link("one")
    made.package("thing", "1")
    link("two")
    assert (tmp_path / "two/share/thing.txt").read_text() == "thing 1\n"


def test_distributions_are_read_from_packages(tmp_path: Path) -> None:
    made = Folder_(tmp_path / "c")
    made.package("a-b", "1", {"site-packages/A_b-1.dist-info/METADATA": "x"}, subdir="noarch")
    made.package("old", "2", {"lib/python3.11/site-packages/old-2-py3.11.egg-info/PKG-INFO": "x"}, bz2=True)
    asked = Environment(channels=(f"file://{tmp_path}/c",), dependencies=("a-b", "old"))
    conda = _conda(tmp_path)
    packages = conda.solve(asked, subdir="linux-64", virtual=GLIBC, files=None)  # type: ignore[arg-type]
    assert conda.distributions(packages, asked, None) == {"A_b": "1", "old": "2"}  # type: ignore[arg-type]
