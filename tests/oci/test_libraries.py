"""Libraries are found where ld.so would find them, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.oci.libraries import Contents, Elf, Missing, missing

SITE = "usr/local/lib/python3.11/dist-packages"
LIB = "usr/lib/x86_64-linux-gnu"
WHEEL = "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl"


def needs(*names: str, **words: Any) -> Elf:
    return Elf(64, True, 62, names, **words)


def layer(
    objects: dict[str, Elf], links: dict[str, str] | None = None, owner: str = WHEEL, also: tuple[str, ...] = ()
) -> Contents:
    return Contents(
        [*objects, *(links or {}), *also], links or {}, {path: (elf, owner) for path, elf in objects.items()}
    )


BASE = layer(
    {f"{LIB}/libc.so.6": needs(), f"{LIB}/libz.so.1.2": needs("libc.so.6", soname="libz.so.1")},
    {"lib": "usr/lib", f"{LIB}/libz.so.1": "libz.so.1.2"},
    "libc6.deb",
)
NUMPY = f"{SITE}/numpy/_core/umath.so"


def names(*layers: Contents, **settings: Any) -> list[str]:
    return [each.soname for each in missing(layers, **settings)]


def test_numpy_without_libstdcxx() -> None:
    wheel = layer({NUMPY: needs("libstdc++.so.6", "libc.so.6", "libz.so.1")})
    assert missing([BASE, wheel]) == [Missing("libstdc++.so.6", NUMPY, WHEEL)]
    assert missing([BASE, layer({f"{LIB}/libstdc++.so.6": needs()}, owner="libstdc++6.deb"), wheel]) == []


@pytest.mark.parametrize("words", [{"runpath": "$ORIGIN/../../numpy.libs"}, {"rpath": "/x:${ORIGIN}/../../numpy.libs"}])
def test_search_paths_of_the_object_itself(words: dict[str, str]) -> None:
    there = layer({f"{SITE}/numpy.libs/libblas.so": needs()})
    assert names(BASE, layer({NUMPY: needs("libblas.so", **words)}), there) == []
    elsewhere = layer({"opt/numpy.libs/libblas.so": needs()})
    assert names(BASE, layer({NUMPY: needs("libblas.so", **words)}), elsewhere) == ["libblas.so"]


def test_search_paths_of_the_image() -> None:
    objects = layer({"opt/x/libx.so.1": needs(), "srv/tool": needs("libx.so.1")}, owner="")
    assert names(BASE, objects) == ["libx.so.1"]
    assert names(BASE, objects, library_path=["/opt/x"]) == []
    assert names(BASE, objects, ld_so_conf=["/opt/x"]) == []


def test_folders_are_links_and_links_have_links() -> None:
    links = {
        "lib64": "usr/lib64",
        f"{LIB}/libq.so.1": "/etc/alternatives/libq",
        "etc/alternatives/libq": "../../opt/libq.so",
    }
    objects = {
        "opt/libq.so": needs(),
        "usr/lib64/ld-linux-x86-64.so.2": needs(),
        "srv/x": needs("libq.so.1", "ld-linux-x86-64.so.2"),
    }
    assert names(BASE, layer(objects, links)) == []
    assert names(BASE, layer(objects, {**links, "etc/alternatives/libq": "libq"})) == ["libq.so.1"]


def test_libraries_for_another_machine_do_not_count() -> None:
    arm = Elf(64, True, 183, soname="libx.so.1")
    assert names(BASE, layer({f"{LIB}/libx.so.1": arm, NUMPY: needs("libx.so.1")})) == ["libx.so.1"]
    foreign = layer({f"{SITE}/numpy/other.so": Elf(64, True, 183, ("libnone.so",))})
    assert names(BASE, foreign, architecture="amd64") == []
    assert names(BASE, foreign, architecture="arm64") == ["libnone.so"]


def test_what_a_driver_brings_and_what_is_ignored() -> None:
    wheel = layer(
        {NUMPY: needs("libcuda.so.1", "libnvidia-ml.so.1", "libGL.so.1"), f"{SITE}/plugin/p.so": needs("libodd.so")}
    )
    assert names(BASE, wheel) == ["libGL.so.1", "libodd.so"]
    assert names(BASE, wheel, ignore=["libGL.*", "*/plugin/*"]) == []


def test_libraries_that_a_package_loads_in_advance() -> None:
    user = {f"{SITE}/torch/lib/libtorch.so": needs("libc10.so", "libgomp.so", "libfar.so")}
    others = {
        f"{SITE}/torch/other/libc10.so": needs(),
        f"{SITE}/x.libs/libgomp-1.so": needs(soname="libgomp.so"),
        f"{SITE}/unrelated/libfar.so": needs(),
    }
    assert names(BASE, layer({**user, **others})) == ["libfar.so"]


def test_layers_above_replace_and_remove() -> None:
    low = layer({"opt/libx.so.1": needs(), "usr/lib/libx.so.1": needs(), NUMPY: needs("libx.so.1")})
    assert names(BASE, low) == []
    assert names(BASE, low, layer({}, also=("usr/lib/.wh.libx.so.1",))) == ["libx.so.1"]
    assert names(BASE, low, layer({}, also=("usr/lib/.wh..wh..opq",))) == ["libx.so.1"]
    assert names(BASE, low, layer({}, also=(NUMPY,))) == []
    assert names(low, Contents(["opt/hard"], hardlinks={"usr/lib/libx.so.1": "opt/libx.so.1"})) == []
