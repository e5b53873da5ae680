"""The layer kind `debs`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.errors import AssembleError
from pipeline.facts import Facts, Python
from pipeline.kinds import Held
from pipeline.layers import debs
from pipeline.recipe import Assemble

SPEC: dict[str, Any] = {"packages": ["curl"]}
PARENT = Facts(
    distribution="debian",
    release="12",
    libc="2.36",
    python=Python("3.11.2"),
    packages={"libc6": "2.36-9", "python3": "3.11.2-1"},
)


def locked(*names: str) -> dict[str, Any]:
    packages = [{"name": name, "version": "1", "sha256": name.ljust(64, "0")} for name in names]
    return {"distribution": "debian", "suite": "bookworm", "release": "12", "packages": packages}


def test_schema() -> None:
    Draft202012Validator.check_schema(debs.SCHEMA)
    assert Draft202012Validator(debs.SCHEMA).is_valid(SPEC)
    assert not Draft202012Validator(debs.SCHEMA).is_valid({"packages": []})


def test_the_suite_is_that_of_the_image_and_its_packages_are_given() -> None:
    seen: dict[str, Any] = {}

    def resolve(settings: Any, _: str, packages: list[str], **options: Any) -> list[Any]:
        seen.update(options, settings=settings, packages=packages)
        return []

    debs.resolve(SPEC, None, PARENT, SimpleNamespace(debian=SimpleNamespace(resolve=resolve)), Held())
    assert (seen["settings"].suite, seen["settings"].distribution) == ("bookworm", "debian")
    assert seen["installed"] == PARENT.packages and seen["packages"] == ["curl"]


def test_a_change_below_makes_the_lock_stale() -> None:
    changed = Facts(distribution="debian", release="12", packages={"libc6": "2.36-10"})
    assert debs.needs(SPEC, PARENT) != debs.needs(SPEC, changed)


@pytest.mark.parametrize(
    ("parent", "spec", "message"),
    [
        (Facts(), SPEC, "need an image of Debian or Ubuntu"),
        (Facts(distribution="alpine", packages={"x": "1"}), SPEC, "the image below is alpine"),
        (Facts(distribution="debian", packages={"x": "1"}), SPEC, "suite of debian  is not known"),
        (PARENT, {**SPEC, "suite": "trixie"}, "packages of trixie do not fit the image below, which is bookworm"),
    ],
)
def test_images_that_packages_do_not_fit(parent: Facts, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(AssembleError, match=message):
        debs.needs(spec, parent)


def test_facts_add_to_those_below() -> None:
    facts = debs.facts(SPEC, locked("curl"), PARENT)
    assert facts.packages == {"curl": "1", "libc6": "2.36-9", "python3": "3.11.2-1"}
    assert (facts.libc, facts.python) == ("2.36", PARENT.python)


def test_the_recipe_reads_what_is_below_and_names_it() -> None:
    (recipe,) = debs.recipes(SPEC, locked("curl"), PARENT)
    assert isinstance(recipe, Assemble) and recipe.needs_root
    assert recipe.inputs["below"] == {"libc6": "2.36-9", "python3": "3.11.2-1"}


def test_python_code_on_top_is_compiled_without_the_standard_library_below() -> None:
    _, bytecode = debs.recipes(SPEC, locked("python3-yaml"), PARENT)
    assert isinstance(bytecode, Assemble)
    assert bytecode.inputs["trees"] == ["usr/lib/python3"] and bytecode.inputs["python"] == "3.11.2"


def test_nothing_to_add_is_no_layer() -> None:
    assert list(debs.recipes(SPEC, locked(), PARENT)) == []
