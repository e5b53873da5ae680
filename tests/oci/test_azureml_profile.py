"""`requires: azureml`: what Azure ML asks of a base of one's own, at, above and below each bound."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from test_requires import META, Files, os_release

from pipeline.manifest.requires import normal
from pipeline.oci.requires import check

GOOD = {
    **os_release("ubuntu", "16.04"),
    f"{META}conda-4.5.0-py36_0.json": "",
    f"{META}python-3.5.0-h1_0.json": "",
    "/usr/bin/fusermount": "",
}


def lacking(*changes: Mapping[str, str], without: str = "", fuse: bool = False) -> list[str]:
    files = {path: text for path, text in GOOD.items() if not (without and without in path)}
    for change in changes:
        files |= change
    asked = {"profile": "azureml", **({"fuse": True} if fuse else {})}
    return [str(lack) for lack in check(normal(asked), Files(files))]


def test_all_at_their_bounds_will_do() -> None:
    assert lacking(fuse=True) == []


@pytest.mark.parametrize(("version", "well"), [("16.04", True), ("18.04", True), ("22.04", True), ("14.04", False)])
def test_row_11_ubuntu(version: str, well: bool) -> None:
    assert [("ubuntu" in lack) for lack in lacking(os_release("ubuntu", version))] == ([] if well else [True])


@pytest.mark.parametrize(
    ("version", "well"), [("4.5.0", True), ("4.7.12.1", True), ("23.5.0", True), ("4.4.11", False)]
)
def test_row_12_conda(version: str, well: bool) -> None:
    found = lacking({f"{META}conda-{version}-py36_0.json": ""}, without="conda-4")
    assert [("conda" in lack) for lack in found] == ([] if well else [True])


@pytest.mark.parametrize(("version", "well"), [("3.5.0", True), ("3.11.9", True), ("3.4.10", False), ("2.7.18", False)])
def test_row_13_python(version: str, well: bool) -> None:
    found = lacking({f"{META}python-{version}-h1_0.json": ""}, without="/python-3")
    assert [("Python" in lack) for lack in found] == ([] if well else [True])


@pytest.mark.parametrize("there", [True, False])
def test_row_14_fuse_is_asked_for_where_data_sets_are_mounted(there: bool) -> None:
    assert lacking(without="" if there else "fusermount") == []
    found = lacking(without="" if there else "fusermount", fuse=True)
    assert [("FUSE" in lack) for lack in found] == ([] if there else [True])
