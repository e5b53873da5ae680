"""Libraries that an image is known to have: by its package database, and by its linker's cache."""

from __future__ import annotations

import struct

import pytest

from pipeline.assemble.deb_ldcache import encode
from pipeline.facts import Facts, Platform
from pipeline.oci.libraries import Elf
from pipeline.oci.provided import ABI, by_facts, cached

AMD64 = Elf(64, True, 62)
FACTS = Facts(
    Platform(), "debian", "12", "2.36", None, dict.fromkeys(["libc6", "libgomp1", "zlib1g", "libssl3t64"], "1")
)
NATIVE = ABI[64, 62]


@pytest.mark.parametrize("soname", ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libgomp.so.1", "libz.so.1"])
def test_glibc_and_packages_named_by_their_library_have_it(soname: str) -> None:
    assert by_facts(soname, AMD64, FACTS)


def test_a_package_of_the_move_to_a_wider_time_has_it() -> None:
    assert by_facts("libssl.so.3", AMD64, FACTS)


@pytest.mark.parametrize("soname", ["libstdc++.so.6", "libgomp.so.2", "libcrypt.so.1", "gomp", "libnss_files.so.2"])
def test_of_others_nothing_is_claimed(soname: str) -> None:
    assert not by_facts(soname, AMD64, FACTS)


def test_another_machine_and_another_libc_are_not_answered() -> None:
    assert not by_facts("libc.so.6", Elf(64, True, 183), FACTS)
    assert not by_facts("libc.so.6", Elf(32, True, 62), FACTS)
    assert not by_facts("libc.so.6", AMD64, Facts())


def test_the_linkers_cache_is_read() -> None:
    data = encode([("libx.so.1", NATIVE | 3, "/usr/lib/libx.so.1"), ("libold.so", NATIVE | 1, "/lib/libold.so")], True)
    assert cached(data) == {("libx.so.1", NATIVE): "/usr/lib/libx.so.1"}


def test_an_older_table_may_stand_before_it() -> None:
    data = encode([("libx.so.1", NATIVE | 3, "/usr/lib/libx.so.1")], True)
    old = b"ld.so-1.7.0\0" + struct.pack("<I", 0)
    assert cached(old + data) == cached(data)


def test_a_damaged_cache_tells_nothing() -> None:
    data = encode([("libx.so.1", NATIVE | 3, "/usr/lib/libx.so.1")], True)
    assert cached(data[:60]) == {} == cached(b"ELF") == cached(data[:-12])
