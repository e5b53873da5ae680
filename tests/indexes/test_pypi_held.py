"""What is locked stays where it fits: versions and files; an upgrade says what keeps a package back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.indexes.pypi import PyPI
from pipeline.layers._requirements import gather

PLATFORM = "manylinux_2_36_x86_64"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ask(files: Any, user: dict[str, str], tmp_path: Path, said: list[str]) -> Callable[..., list[dict[str, Any]]]:
    """Resolves packages for Python 3.11, with no index but the project's folder of wheels."""

    def resolve(*packages: str, **options: Any) -> list[dict[str, Any]]:
        pypi = PyPI(user, lambda _: None, warn=said.append, etc=tmp_path / "etc", prefix=tmp_path / "venv")
        wanted = gather({"packages": list(packages), "find_links": "wheels"}, files)
        wanted.no_index = True
        return pypi.resolve(wanted, python="3.11", platform=PLATFORM, files=files, **options)

    return resolve


def _versions(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["version"] for each in found}


def _release(wheel: Any, name: str, *versions: str, requires: str = "") -> None:
    for version in versions:
        wheel(f"{name}-{version}-py3-none-any.whl", requires=requires)


def test_one_package_more_moves_no_other(ask: Any, wheel: Any, said: list[str]) -> None:
    _release(wheel, "alpha", "1.0", requires="beta")
    _release(wheel, "beta", "1.0")
    held = ask("alpha")
    _release(wheel, "alpha", "2.0", requires="beta")
    _release(wheel, "beta", "2.0")
    _release(wheel, "gamma", "1.0", requires="beta>=1")
    assert _versions(ask("alpha", "gamma")) == {"alpha": "2.0", "beta": "2.0", "gamma": "1.0"}
    found = ask("alpha", "gamma", held=held)
    assert _versions(found) == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert [each for each in found if each["name"] != "gamma"] == held
    assert not said


def test_only_what_has_to_move_moves(ask: Any, wheel: Any) -> None:
    for name in ("alpha", "beta"):
        _release(wheel, name, "1.0")
    held = ask("alpha", "beta")
    for name in ("alpha", "beta"):
        _release(wheel, name, "2.0")
    _release(wheel, "gamma", "1.0", requires="beta>=2")
    assert _versions(ask("alpha", "beta", "gamma", held=held)) == {"alpha": "1.0", "beta": "2.0", "gamma": "1.0"}


def test_what_is_new_is_chosen_to_fit_what_is_there(ask: Any, wheel: Any) -> None:
    _release(wheel, "alpha", "1.0", requires="beta<2")
    _release(wheel, "beta", "1.0")
    held = ask("alpha")
    _release(wheel, "beta", "2.0")
    _release(wheel, "alpha", "2.0", requires="beta>=2")
    _release(wheel, "gamma", "1.0", requires="beta")
    _release(wheel, "gamma", "2.0", requires="beta>=2")
    # Also where the manifest names it first.
    found = ask("gamma", "alpha", held=held)
    assert _versions(found) == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}


def test_a_version_that_has_left_the_index_is_replaced(ask: Any, files: Any, wheel: Any) -> None:
    _release(wheel, "alpha", "1.0", "2.0")
    held = ask("alpha==1.0")
    (files.root / "wheels/alpha-1.0-py3-none-any.whl").unlink()
    assert _versions(ask("alpha", held=held)) == {"alpha": "2.0"}


def test_a_better_file_of_the_same_version_does_not_slip_in(ask: Any, files: Any, wheel: Any) -> None:
    wheel("alpha-1.0-py3-none-any.whl")
    held = ask("alpha")
    better = "alpha-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    wheel(better)
    assert ask("alpha", held=held) == held
    # What was locked for another machine tells of versions only.
    assert ask("alpha", held=[{"name": "alpha", "version": "1.0"}])[0]["file"] == better
    # A file of the same name with other bytes is another file.
    assert ask("alpha", held=[{**held[0], "sha256": "0" * 64}])[0]["file"] == better
    (files.root / "wheels/alpha-1.0-py3-none-any.whl").unlink()
    assert ask("alpha", held=held)[0]["file"] == better


def test_a_locked_file_that_does_not_fit_here_is_no_answer(ask: Any, wheel: Any) -> None:
    digits = wheel("alpha-1.0-cp311-cp311-manylinux_2_38_x86_64.whl")
    wheel("alpha-1.0-py3-none-any.whl")
    held = {"name": "alpha", "version": "1.0", "file": "alpha-1.0-cp311-cp311-manylinux_2_38_x86_64.whl"}
    assert ask("alpha", held=[{**held, "sha256": digits}])[0]["file"] == "alpha-1.0-py3-none-any.whl"


def test_an_upgrade_says_which_package_keeps_it_back(ask: Any, wheel: Any, said: list[str]) -> None:
    _release(wheel, "alpha", "1.0", requires="beta<3")
    _release(wheel, "beta", "1.0")
    held = ask("alpha")
    _release(wheel, "beta", "2.0", "3.0")
    _release(wheel, "alpha", "2.0", requires="beta")
    kept = [each for each in held if each["name"] != "beta"]
    assert _versions(ask("alpha", held=kept, upgrade=["beta"])) == {"alpha": "1.0", "beta": "2.0"}
    assert said == [
        "beta stays at 2.0, though there is 3.0: alpha 1.0 needs beta<3 (upgrade both: --upgrade beta alpha)"
    ]
    said.clear()
    assert _versions(ask("alpha", upgrade=["alpha", "beta"])) == {"alpha": "2.0", "beta": "3.0"}
    assert not said


@pytest.mark.parametrize("asked", [["alpha==1.0"], ["alpha<2"], ["alpha", "alpha<2"]])
def test_an_upgrade_says_that_the_manifest_keeps_it_back(
    ask: Any, wheel: Any, said: list[str], asked: list[str]
) -> None:
    _release(wheel, "alpha", "1.0", "2.0")
    ask(*asked, upgrade=["alpha"])
    assert said == [f"alpha stays at 1.0, though there is 2.0: {asked[-1]} is asked for"]


def test_a_version_that_one_of_two_indexes_has_for_others_alone_stays(
    files: Any, user: dict[str, str], tmp_path: Path, wheel: Any
) -> None:
    here, there = "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_aarch64"
    for index, tags in (("first", {"1.0": there}), ("second", {"0.9": here, "1.0": here})):
        folder = files.root / index / "alpha"
        folder.mkdir(parents=True)
        names = [f"alpha-{version}-{tag}.whl" for version, tag in tags.items()]
        for name in names:
            wheel(name)
            (files.root / "wheels" / name).rename(folder / name)
        (folder / "index.html").write_text("".join(f'<a href="{name}">{name}</a>' for name in names))
    pypi = PyPI(user, lambda _: None, etc=tmp_path / "etc", prefix=tmp_path / "venv")
    first, second = ((files.root / index).as_uri() for index in ("first", "second"))
    wanted = gather({"packages": ["alpha"], "index": second, "extra_index": first}, files)
    held = [{"name": "alpha", "version": "1.0"}]
    found = pypi.resolve(wanted, python="3.11", platform=PLATFORM, files=files, held=held)
    assert _versions(found) == {"alpha": "1.0"}
