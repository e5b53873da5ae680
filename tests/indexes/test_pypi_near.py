"""One package more asks an index about that package alone, and gets the newest of it all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ResolveError
from pipeline.indexes.pypi import PyPI
from pipeline.layers._requirements import gather


class Index:
    """A package index (PEP 503) that notes which projects' pages it was asked for."""

    def __init__(self, folder: Path, wheel: Any) -> None:
        self._folder, self._wheel = folder, wheel
        self.asked: set[str] = set()
        folder.mkdir()
        index = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/simple/"):
                    index.asked.add(self.path.strip("/").rpartition("/")[2])
                super().do_GET()

            def end_headers(self) -> None:
                self.send_header("Cache-Control", "max-age=0")
                super().end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"

    def release(self, name: str, *versions: str, requires: str = "") -> None:
        page = self._folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        text = page.read_text() if page.exists() else ""
        for version in versions:
            file = f"{name}-{version}-py3-none-any.whl"
            digits = self._wheel(file, requires=requires)
            (self._folder.parent / "project/wheels" / file).rename(self._folder / file)
            text += f'<a href="/{file}#sha256={digits}">{file}</a>\n'
        page.write_text(text)


@pytest.fixture
def index(tmp_path: Path, wheel: Any) -> Iterator[Index]:
    made = Index(tmp_path / "index", wheel)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def ask(index: Index, files: Any, user: dict[str, str], tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    def resolve(*packages: str, **options: Any) -> list[dict[str, Any]]:
        pypi = PyPI(user, lambda _: None, etc=tmp_path / "etc", prefix=tmp_path / "venv")
        wanted = gather({"packages": list(packages), "index": index.url}, files)
        index.asked.clear()
        return pypi.resolve(wanted, python="3.11", platform="manylinux_2_36_x86_64", files=files, **options)

    return resolve


def _versions(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["version"] for each in found}


def test_only_what_is_new_is_asked_for(index: Index, ask: Any) -> None:
    index.release("alpha", "1.0", requires="beta")
    index.release("beta", "1.0")
    held = ask("alpha")
    index.release("alpha", "2.0")
    index.release("gamma", "1.0", requires="delta")
    index.release("delta", "1.0")
    found = ask("alpha", "gamma", held=held)
    assert _versions(found) == {"alpha": "1.0", "beta": "1.0", "delta": "1.0", "gamma": "1.0"}
    assert [each for each in found if each["name"] in ("alpha", "beta")] == held
    assert index.asked == {"gamma", "delta"}


def test_what_is_new_is_the_newest_though_an_older_page_is_in_the_cache(index: Index, ask: Any) -> None:
    index.release("alpha", "1.0")
    index.release("gamma", "1.0")
    held = [each for each in ask("alpha", "gamma") if each["name"] == "alpha"]
    index.release("gamma", "2.0")
    assert _versions(ask("alpha", "gamma", held=held)) == {"alpha": "1.0", "gamma": "2.0"}


def test_what_is_taken_out_takes_no_question(index: Index, ask: Any) -> None:
    for name in ("alpha", "beta"):
        index.release(name, "1.0")
    held = ask("alpha", "beta")
    assert _versions(ask("alpha", held=held)) == {"alpha": "1.0"}
    assert not index.asked


def test_where_something_has_to_move_the_index_is_asked_for_all(index: Index, ask: Any) -> None:
    index.release("alpha", "1.0", requires="beta")
    index.release("beta", "1.0", "2.0")
    held = [{**each, "version": "1.0"} if each["name"] == "beta" else each for each in ask("alpha", "beta==1.0")]
    index.release("beta", "3.0")
    index.release("gamma", "1.0", requires="beta>=2")
    # The cache has beta 2.0, and the index a newer one.
    assert _versions(ask("alpha", "gamma", held=held)) == {"alpha": "1.0", "beta": "3.0", "gamma": "1.0"}


def test_a_new_package_that_does_not_fit_in_its_newest_version(index: Index, ask: Any) -> None:
    index.release("alpha", "1.0", requires="beta<2")
    index.release("beta", "1.0", "2.0")
    held = ask("alpha")
    index.release("gamma", "1.0", requires="beta\nRequires-Dist: delta")
    index.release("gamma", "2.0", requires="beta>=2")
    index.release("delta", "1.0")
    assert _versions(ask("alpha", "gamma", held=held)) == {
        "alpha": "1.0",
        "beta": "1.0",
        "delta": "1.0",
        "gamma": "1.0",
    }


def test_what_is_installed_below_is_not_asked_for(index: Index, ask: Any) -> None:
    index.release("alpha", "1.0", requires="base")
    index.release("base", "2.0")
    held = ask("alpha", installed={"base": "1.0"})
    index.release("gamma", "1.0", requires="base")
    found = ask("alpha", "gamma", held=held, installed={"base": "1.0"})
    assert _versions(found) == {"alpha": "1.0", "gamma": "1.0"}
    assert index.asked == {"gamma"}


def test_a_package_that_is_nowhere_is_told_of(index: Index, ask: Any) -> None:
    index.release("alpha", "1.0")
    held = ask("alpha")
    with pytest.raises(ResolveError, match="gamma"):
        ask("alpha", "gamma", held=held)
