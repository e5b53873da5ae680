"""The best wheel for a Python and a platform."""

from __future__ import annotations

import pytest

from pipeline.errors import ResolveError
from pipeline.indexes.pypi_wheels import best, uv_platform


@pytest.mark.parametrize(
    ("platform", "tags", "expected"),
    [
        ("manylinux_2_36_x86_64", ["py3-none-any", "cp311-cp311-manylinux2014_x86_64"], 1),
        ("manylinux_2_36_x86_64", ["cp39-abi3-manylinux_2_28_x86_64", "cp311-abi3-manylinux_2_34_x86_64"], 1),
        ("manylinux_2_27_x86_64", ["cp39-abi3-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_x86_64"], 0),
        ("manylinux_2_36_x86_64", ["cp311-cp311-musllinux_1_2_x86_64", "cp312-cp312-manylinux_2_17_x86_64"], None),
        ("manylinux_2_36_aarch64", ["cp311-cp311-manylinux1_aarch64", "py3-none-manylinux2014_aarch64"], 1),
        ("manylinux_2_36_x86_64", ["1-py3-none-any", "2-py3-none-any"], 1),
        ("manylinux_2_36_x86_64", ["cp311-cp311t-manylinux_2_17_x86_64", "py2-none-any"], None),
    ],
)
def test_best(platform: str, tags: list[str], expected: int | None) -> None:
    files = [{"file": f"thing-1.0-{tag}.whl"} for tag in tags]
    for order in (files, files[::-1]):
        assert best(order, "3.11", platform) == (None if expected is None else files[expected])


def test_uvs_name_of_a_platform() -> None:
    assert uv_platform("manylinux_2_36_x86_64") == "x86_64-manylinux_2_36"
    assert uv_platform("manylinux_2_27_aarch64") == "aarch64-manylinux_2_17"
    assert uv_platform("manylinux_2_43_x86_64") == "x86_64-manylinux_2_40"
    assert uv_platform("manylinux_2_27_x86_64", newest=True) == "x86_64-manylinux_2_40"
    with pytest.raises(ResolveError, match="armv7l"):
        uv_platform("manylinux_2_36_armv7l")
