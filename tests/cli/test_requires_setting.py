"""`requires` in a manifest: where it may stand, and what a run says of a base or an image that lacks something."""

from __future__ import annotations

from typing import Any

import pytest

MANIFEST = """\
version: 1
name: shop
bases:
  slim: {plain: [{from: base/, to: /}], requires: BASE}
layers:
  code: {files: [{from: src/, to: /srv/app/}]}
images:
  web: {base: slim, layers: [code], command: [/srv/app/start], requires: IMAGE}
"""


def _write(shop: Any, base: str, image: str) -> None:
    shop.write("pipeline.yaml", MANIFEST.replace("BASE", base).replace("IMAGE", image))


@pytest.fixture
def ubuntu(shop: Any) -> Any:
    """A base that is what the azureml profile asks for, and an image that adds git."""
    shop.write("base/usr/lib/os-release", "ID=ubuntu\nVERSION_ID=22.04\n")
    (shop.folder / "base/etc").mkdir()
    (shop.folder / "base/etc/os-release").symlink_to("../usr/lib/os-release")
    shop.write("base/opt/conda/conda-meta/conda-24.1.2-py311_0.json", "{}")
    shop.write("base/opt/conda/conda-meta/python-3.11.7-0.json", "{}")
    shop.write("src/bin/git", "")
    return shop


def test_what_is_required_and_there_changes_nothing_but_is_asked_again_when_it_changes(ubuntu: Any) -> None:
    _write(ubuntu, "azureml", "{git: true}")
    assert ubuntu("build").code == 0
    assert "nothing to do" in ubuntu("build").out
    _write(ubuntu, "azureml", "{git: true, conda: '>=25'}")
    plan = ubuntu("plan").out
    assert "required of the image" in plan
    assert ubuntu("build").code == 3


def test_everything_that_is_lacking_is_said_at_once(ubuntu: Any) -> None:
    _write(ubuntu, "{os: [ubuntu>=24.04, debian], git: true}", "{git: true, python: '>=3.12', cuda: true}")
    ended = ubuntu("build")
    assert ended.code == 3
    assert (
        "    pipeline.yaml:4:3: base slim lacks what it requires:\n"
        "      the operating system ubuntu>=24.04 or debian is required, and there is ubuntu 22.04 (/etc/os-release)\n"
        "      git is required, and there is none\n"
        "    image web lacks what it requires:\n"
        "      Python >=3.12 is required, and there is Python 3.11.7 (/opt/conda/conda-meta/python-3.11.7-0.json)\n"
        "      CUDA is required, and there is none (add what is lacking,"
    ) in ended.out + ended.err


@pytest.mark.parametrize(
    ("base", "image", "message"),
    [
        ("azurml", "azureml", "'requires' cannot be 'azurml' (did you mean 'azureml'?)"),
        ("{oss: debian}", "azureml", "unknown key 'oss' (did you mean 'os'?)"),
        ("{mpi: openmpj}", "azureml", "'mpi' cannot be 'openmpj' (true, or as in openmpi>=3.1.2 or intelmpi)"),
        ("azureml", "{python: 3.10}", '3.10 is read as the number 3.1, where text is wanted (quote it: "3.10")'),
        ("azureml", "{packages: {pip: [a b]}}", "cannot be 'a b' (a package and its versions, as in azureml-defaults"),
    ],
)
def test_what_is_wrong_in_requires_is_said(ubuntu: Any, base: str, image: str, message: str) -> None:
    _write(ubuntu, base, image)
    ended = ubuntu("validate")
    assert ended.code == 2
    assert message in ended.out + ended.err


def test_requires_is_no_kind(shop: Any) -> None:
    shop.write("pipeline.yaml", MANIFEST.replace("plain: [{from: base/, to: /}], requires: BASE", "requires: azureml"))
    assert "'slim' has no kind (a base has exactly one kind" in (said := shop("validate").err + shop("validate").out)
    assert "requires" not in said.split("exactly one kind")[1].split("\n")[0]
