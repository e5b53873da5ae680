"""The entry script's check: what the inference server would refuse, and nothing that it takes."""

from pathlib import Path

import pytest

from pipeline.manifest.script import check, source_of

INIT = "def init():\n    pass\n"
RUN = "def run(data):\n    return data\n"


def flaws(folder: Path, text: str) -> list[str]:
    script = folder / "score.py"
    script.write_text(text)
    return [f"{flaw.line}: {flaw.message}" for flaw in check(script)]


@pytest.mark.parametrize(
    "text",
    [
        INIT + RUN,
        "from other import init, run\n",
        "from other import *\n",
        "import other as init\nrun = lambda data: data\n",
        "init, run = make()\n",
        "try:\n    from fast import run\nexcept ImportError:\n    def run(data): ...\n" + INIT,
        "if True:\n    def init(): ...\n    def run(data, request_headers): ...\n",
        "def init(verbose=False): ...\ndef run(data, *, top=3): ...\n",
        INIT + "@input_schema('x', 1)\ndef run(x, y): ...\n",
        INIT + "@wraps(f)\ndef run(*args): ...\n",
        "globals().update(init=print, run=print)\n",
        "def __getattr__(name): ...\n",
        "import driver as driver_module\n" + INIT + "def run(*args): ...\n",
        "from m import init\nasync def run(data): ...\n",
        "def init(): ...\n(run := print)\n",
    ],
)
def test_scripts_that_serve(tmp_path: Path, text: str) -> None:
    assert flaws(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (INIT, "1: the entry script has no run()"),
        (RUN, "1: the entry script has no init()"),
        (INIT + "class Model:\n    def run(self, data): ...\n", "1: the entry script has no run()"),
        (INIT + "def run(*args): ...\n", "3: run() cannot accept positional-only"),
        (INIT + "def run(**kwargs): ...\n", "3: run() cannot accept positional-only"),
        (INIT + "def run(data, /): ...\n", "3: run() cannot accept positional-only"),
        (INIT + "def run(): ...\n", "3: run() needs a parameter"),
        (INIT + "def run(request_headers): ...\n", "3: run() needs a parameter"),
        (INIT + "def run(data, model): ...\n", "3: run() is called with the request only, and 'model'"),
        ("def init(path): ...\n" + RUN, "1: init() is called without arguments"),
        (INIT + "def run(data)\n    pass\n", "3: syntax error"),
        (INIT + RUN + "  x = 1\n", "5: syntax error"),
        ("x = '\0'\n", "0: is not a Python script"),
        ("(" * 5000, "1: syntax error"),
    ],
)
def test_scripts_that_do_not(tmp_path: Path, text: str, flaw: str) -> None:
    found = flaws(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(flaw) or "\0" in text or text.startswith("((")


def test_a_script_without_both_has_two_flaws(tmp_path: Path) -> None:
    assert len(flaws(tmp_path, "")) == 2


@pytest.mark.parametrize(
    ("item", "sources"),
    [
        ({"from": "src/", "to": "/app/"}, ["src/api/score.py"]),
        ({"from": "src", "to": "/app/api"}, ["src/score.py"]),
        ({"from": "src/*.py", "to": "/app/api"}, ["src/score.py"]),
        ({"from": "main.py", "to": "/app/api/score.py"}, ["main.py"]),
        ({"from": "x/score.py", "to": "/app/api/"}, ["x/score.py", "x/score.py/score.py"]),
        ({"from": "src/", "to": "/"}, ["src/app/api/score.py"]),
        ({"from": "src/", "to": "/elsewhere"}, []),
        ({"from": "src/", "to": "/app/apifoo"}, []),
    ],
)
def test_where_a_script_comes_from(item: dict[str, str], sources: list[str]) -> None:
    assert list(source_of("api/score.py", "/app", [item])) == sources


def test_the_last_item_wins() -> None:
    items = [{"from": "a/", "to": "/app"}, {"from": "b/", "to": "/app"}]
    assert list(source_of("score.py", "/app", items)) == ["b/score.py", "a/score.py"]
