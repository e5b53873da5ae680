"""pip's settings reach uv, unless uv has its own; the manifest's words go before both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.indexes.pypi_settings import has_wheels, pip_settings, uv_settings
from pipeline.layers._requirements import Requested


@pytest.fixture
def env(files: Any, user: dict[str, str], tmp_path: Path) -> Any:
    def make(wanted: Requested | None = None, **environ: str) -> dict[str, str]:
        return uv_settings(
            {**user, **environ}, wanted or Requested(), files, etc=tmp_path / "etc", prefix=tmp_path / "venv"
        )[0]

    return make


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_later_places_of_pips_settings_win(user: dict[str, str], tmp_path: Path) -> None:
    _write(tmp_path / "etc/pip.conf", "[global]\nindex_url = http://etc/\ncert = /etc/ca.pem\n[install]\npre = no\n")
    _write(tmp_path / "user/.config/pip/pip.conf", "[global]\nindex-url = http://user/\n")
    settings = pip_settings(user, tmp_path / "etc", tmp_path / "venv")
    assert settings == {"index-url": "http://user/", "cert": "/etc/ca.pem", "pre": "no"}
    settings = pip_settings({**user, "PIP_INDEX_URL": "http://env/"}, tmp_path / "etc", tmp_path / "venv")
    assert settings["index-url"] == "http://env/"
    assert pip_settings({**user, "PIP_CONFIG_FILE": "/dev/null"}, tmp_path / "etc", tmp_path).get("cert") is None


def test_pips_words_are_said_in_uvs(env: Any, tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    _write(
        tmp_path / "user/.pip/pip.conf",
        f"""[global]
index-url = http://main/
extra-index-url =
    http://one/
    http://two/
find-links = {tmp_path}/house {tmp_path}/absent
trusted-host = main one
cert = /ca.pem
proxy = http://proxy:3128
""",
    )
    made = env()
    assert made["UV_DEFAULT_INDEX"] == "http://main/"
    assert made["UV_INDEX"] == "http://one/ http://two/"
    assert made["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert made["UV_FIND_LINKS"] == f"{tmp_path}/house"
    assert made["UV_INSECURE_HOST"] == "main one"
    assert made["UV_HTTP_RETRIES"] == "0"
    assert made["SSL_CERT_FILE"] == "/ca.pem"
    assert made["ALL_PROXY"] == "http://proxy:3128"


@pytest.mark.parametrize("place", ["user/.config/uv/uv.toml", "project/uv.toml", "project/pyproject.toml", ""])
def test_uvs_own_indexes_put_pips_aside(env: Any, tmp_path: Path, place: str) -> None:
    settings = 'index-url = "http://uv/"\n'
    if place:
        _write(tmp_path / place, f"[tool.uv.pip]\n{settings}" if "pyproject" in place else settings)
    own = {} if place else {"UV_DEFAULT_INDEX": "http://uv/"}
    made = env(PIP_INDEX_URL="http://pip/", PIP_CERT="/ca.pem", **own)
    assert made.get("UV_DEFAULT_INDEX", "") != "http://pip/"
    assert made["SSL_CERT_FILE"] == "/ca.pem"


def test_the_manifests_index_goes_before_pips(env: Any, files: Any) -> None:
    wanted = Requested(index="http://${WHO}@manifest/", extra_index=["http://more/"], find_links=["wheels"])
    made = env(wanted, PIP_INDEX_URL="http://pip/", PIP_EXTRA_INDEX_URL="http://extra/", PIP_NO_INDEX="1", WHO="me")
    assert made["UV_DEFAULT_INDEX"] == "http://me@manifest/"
    assert made["UV_INDEX"] == "http://more/ http://extra/"
    assert made["UV_FIND_LINKS"] == str(files.root / "wheels")


def test_what_would_change_the_packages_bytes_is_not_passed_on(env: Any) -> None:
    made = env(UV_COMPILE_BYTECODE="1", UV_LINK_MODE="copy", UV_TARGET="/x", UV_EXCLUDE_NEWER="2026-01-01")
    assert not {"UV_COMPILE_BYTECODE", "UV_LINK_MODE", "UV_TARGET"} & made.keys()
    assert made["UV_EXCLUDE_NEWER"] == "2026-01-01"


def test_no_index_of_pip_is_an_option_unless_the_manifest_names_an_index(
    files: Any, user: dict[str, str], tmp_path: Path
) -> None:
    def options(wanted: Requested) -> list[str]:
        return uv_settings({**user, "PIP_NO_INDEX": "1"}, wanted, files, etc=tmp_path, prefix=tmp_path)[1]

    assert options(Requested()) == ["--no-index"]
    assert options(Requested(index="http://manifest/")) == []


def test_wheels_in_uvs_cache_are_seen(tmp_path: Path) -> None:
    places = [{"UV_CACHE_DIR": str(tmp_path / "own")}, {"XDG_CACHE_HOME": str(tmp_path)}, {"HOME": str(tmp_path / "h")}]
    for environ, folder in zip(places, ("own", "uv", "h/.cache/uv"), strict=True):
        (tmp_path / folder / "simple-v1").mkdir(parents=True)
        assert not has_wheels(environ)
        (tmp_path / folder / "archive-v0/x").mkdir(parents=True)
        assert has_wheels(environ)
