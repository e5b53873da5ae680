"""Requirements become hashed wheels and unpacked folders, by uv, from indexes made here."""

from __future__ import annotations

import base64
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import OutOfReach, ResolveError
from pipeline.indexes.pypi import PyPI
from pipeline.layers._requirements import Requested, gather

PLATFORM = "manylinux_2_36_x86_64"
HERE = {"find_links": "wheels"}


@pytest.fixture
def ask(files: Any, user: dict[str, str], tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Resolves a pip layer's settings for Python 3.11, with no index but the project's folder of wheels."""

    def resolve(spec: dict[str, Any], platform: str = PLATFORM, **environ: str) -> list[dict[str, Any]]:
        pypi = PyPI({**user, **environ}, lambda _: None, etc=tmp_path / "etc", prefix=tmp_path / "venv")
        return pypi.resolve(_alone(gather(spec, files)), python="3.11", platform=platform, files=files)

    return resolve


def _alone(wanted: Requested) -> Requested:
    wanted.no_index = not wanted.index
    return wanted


def test_a_package_is_locked_with_what_it_depends_on_and_without_a_host(ask: Any, wheel: Any) -> None:
    digits = wheel("alpha-1.0-py3-none-any.whl", requires="beta>=2")
    wheel("beta-2.1-py3-none-any.whl")
    found = ask({"packages": ["Alpha"], **HERE})
    assert [(each["name"], each["version"], each["file"]) for each in found] == [
        ("alpha", "1.0", "alpha-1.0-py3-none-any.whl"),
        ("beta", "2.1", "beta-2.1-py3-none-any.whl"),
    ]
    assert found[0]["sha256"] == digits
    assert found[0]["size"] > 0
    assert "/" not in json.dumps(found)


def test_the_wheel_is_the_best_for_the_exact_glibc(ask: Any, wheel: Any) -> None:
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-win_amd64"):
        wheel(f"native-1.0-{tag}.whl")
    wheel("native-1.0-cp311-cp311-manylinux_2_17_aarch64.whl")
    spec = {"packages": ["native"], **HERE}
    assert ask(spec)[0]["file"] == "native-1.0-cp311-cp311-manylinux_2_36_x86_64.whl"
    assert ask(spec, "manylinux_2_35_x86_64")[0]["file"] == "native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert ask(spec, "manylinux_2_36_aarch64")[0]["file"] == "native-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"


def test_a_wheel_for_another_python_is_named_with_what_it_is_for(ask: Any, wheel: Any) -> None:
    wheel("old-1.0-cp39-cp39-manylinux_2_17_x86_64.whl")
    with pytest.raises(ResolveError, match=r"old.* has no wheel for Python 3\.11 on manylinux_2_36_x86_64: .*cp39"):
        ask({"packages": ["old"], **HERE})


def test_a_package_of_sources_only_is_named(ask: Any, files: Any, wheel: Any) -> None:
    wheel("other-1.0-py3-none-any.whl")
    with tarfile.open(files.root / "wheels/source-1.0.tar.gz", "w:gz"):
        pass
    with pytest.raises(ResolveError, match=r"source.* has no wheel .*only sources") as caught:
        ask({"packages": ["source", "other"], **HERE})
    assert not caught.value.transient
    assert "find_links" in caught.value.remedy


def test_an_unknown_name_and_a_contradiction_are_told(ask: Any, wheel: Any) -> None:
    wheel("alpha-1.0-py3-none-any.whl")
    with pytest.raises(ResolveError, match=r"alpha>2"):
        ask({"packages": ["alpha>2"], **HERE})
    with pytest.raises(ResolveError, match="nowhere"):
        ask({"packages": ["nowhere"], **HERE})
    with pytest.raises(ResolveError, match="alpha=2"):
        ask({"packages": ["alpha=2"], **HERE})


def test_hashes_in_a_requirement_file_are_honoured(ask: Any, files: Any, wheel: Any) -> None:
    wheel("alpha-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
    digits = wheel("alpha-1.0-py3-none-any.whl")
    listed = files.root / "requirements.txt"
    listed.write_text(f"alpha==1.0 \\\n    --hash=sha256:{digits}\n")
    spec = {"requirements": "requirements.txt", **HERE}
    assert ask(spec)[0]["file"] == "alpha-1.0-py3-none-any.whl"
    listed.write_text(f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ResolveError, match=r"no wheel of alpha 1\.0 .* hash"):
        ask(spec)


def test_constraints_pre_releases_and_leaving_out_dependencies(ask: Any, files: Any, wheel: Any) -> None:
    wheel("alpha-1.0-py3-none-any.whl", requires="beta")
    wheel("alpha-2.0-py3-none-any.whl", requires="beta")
    wheel("alpha-3.0rc1-py3-none-any.whl", requires="beta")
    (files.root / "limits.txt").write_text("alpha<2\nunused==9\n")
    spec = {"packages": ["alpha"], "no_deps": True, **HERE}
    assert [each["version"] for each in ask(spec)] == ["2.0"]
    assert [each["version"] for each in ask({**spec, "pre": True})] == ["3.0rc1"]
    assert [each["version"] for each in ask({**spec, "constraints": "limits.txt"})] == ["1.0"]


def test_an_index_out_of_reach_is_transient_and_its_credentials_stay_hidden(ask: Any) -> None:
    with pytest.raises(OutOfReach) as caught:
        ask({"packages": ["alpha"], "index": "http://user:hunter2@127.0.0.1:9/simple"}, UV_HTTP_RETRIES="0")
    assert caught.value.transient
    assert "127.0.0.1:9" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_wheels_are_unpacked_as_they_are_and_only_once(
    files: Any, user: dict[str, str], tmp_path: Path, wheel: Any
) -> None:
    digits = wheel("alpha-1.0-py3-none-any.whl", {"alpha.py": "x = 1\n", "alpha-1.0.data/scripts/run": "#!python\n"})
    pypi = PyPI(user, lambda _: None, etc=tmp_path / "etc", prefix=tmp_path / "venv")
    wanted = _alone(gather({"packages": ["alpha"], **HERE}, files))
    pins = [("alpha-1.0-py3-none-any.whl", digits)]
    found = pypi.unpacked(pins, wanted, python="3.11", platform=PLATFORM, files=files)
    folder = found["alpha-1.0-py3-none-any.whl"]
    assert (folder / "alpha.py").read_text() == "x = 1\n"
    assert (folder / "alpha-1.0.data/scripts/run").is_file()
    # uv is not asked again: it would have to unpack what is gone.
    shutil.rmtree(folder)
    assert pypi.unpacked(pins, wanted, python="3.11", platform=PLATFORM, files=files) == found
    assert not folder.exists()


def test_without_a_cache_wheels_are_unpacked_all_the_same(
    files: Any, user: dict[str, str], tmp_path: Path, wheel: Any
) -> None:
    digits = wheel("alpha-1.0-py3-none-any.whl")
    pypi = PyPI({**user, "UV_NO_CACHE": "1"}, lambda _: None, etc=tmp_path / "etc", links=tmp_path / "absent")
    wanted = _alone(gather({"packages": ["alpha"], **HERE}, files))
    pins = [("alpha-1.0-py3-none-any.whl", digits)]
    found = pypi.unpacked(pins, wanted, python="3.13", platform="manylinux_2_41_aarch64", files=files)
    assert (found["alpha-1.0-py3-none-any.whl"] / "alpha.py").is_file()


def test_a_locked_wheel_that_changed_is_refused(files: Any, user: dict[str, str], tmp_path: Path, wheel: Any) -> None:
    wheel("alpha-1.0-py3-none-any.whl")
    pypi = PyPI(user, lambda _: None, etc=tmp_path / "etc", prefix=tmp_path / "venv")
    wanted = _alone(gather({"packages": ["alpha"], **HERE}, files))
    with pytest.raises(Exception, match="cannot be fetched"):
        pypi.unpacked([("alpha-1.0-py3-none-any.whl", "0" * 64)], wanted, python="3.11", platform=PLATFORM, files=files)


class _Guarded(SimpleHTTPRequestHandler):
    """Serves a folder to whoever knows the password."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"user:hunter2").decode():
            self.send_error(401)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(files: Any) -> Iterator[str]:
    """The address of a server for the project's folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Guarded, directory=str(files.root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_index_with_credentials_and_one_by_netrc(
    ask: Any, files: Any, user: dict[str, str], wheel: Any, served: str
) -> None:
    wheel("alpha-1.0-py3-none-any.whl")
    page = files.root / "simple/alpha/index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../wheels/alpha-1.0-py3-none-any.whl">alpha-1.0-py3-none-any.whl</a>')
    spec = {"packages": ["alpha"], "index": f"http://user:${{SECRET}}@{served}/simple"}
    assert ask(spec, SECRET="hunter2")[0]["name"] == "alpha"
    with pytest.raises(ResolveError, match=r"credentials|alpha"):
        ask({**spec, "index": f"http://{served}/simple"})
    home = Path(user["HOME"])
    home.mkdir(exist_ok=True)
    (home / ".netrc").write_text("machine 127.0.0.1 login user password hunter2\n")
    (home / ".netrc").chmod(0o600)
    assert ask({**spec, "index": f"http://{served}/simple"})[0]["name"] == "alpha"


def test_a_wheel_asked_for_by_its_address(
    ask: Any, files: Any, user: dict[str, str], tmp_path: Path, wheel: Any, served: str
) -> None:
    digits = wheel("alpha-1.0-py3-none-any.whl")
    spec = {"packages": [f"alpha @ http://user:hunter2@{served}/wheels/alpha-1.0-py3-none-any.whl"]}
    found = ask(spec)
    assert [(each["name"], each["version"], each["sha256"]) for each in found] == [("alpha", "1.0", digits)]
    pypi = PyPI(user, lambda _: None, etc=tmp_path / "etc", prefix=tmp_path / "venv")
    pins = [(found[0]["file"], digits)]
    unpacked = pypi.unpacked(pins, gather(spec, files), python="3.11", platform=PLATFORM, files=files)
    assert (unpacked[found[0]["file"]] / "alpha.py").is_file()


@pytest.mark.network
def test_a_real_package_for_another_architecture(files: Any) -> None:
    import os

    found = PyPI(os.environ, lambda _: None).resolve(
        gather({"packages": ["markupsafe==3.0.2"]}, files),
        python="3.12",
        platform="manylinux_2_36_aarch64",
        files=files,
    )
    assert [each["file"] for each in found] == [
        "MarkupSafe-3.0.2-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
    ]
