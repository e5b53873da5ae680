"""Compressed streams: whole ones are read to their end, damaged ones raise what `damage` lists."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from pipeline.compression import damage, gzip_compressor, reader, zstd

PLAIN = random.Random(7).randbytes(1 << 16) * 40
WHOLE = gzip.compress(PLAIN)


def test_gzip_is_read_member_after_member() -> None:
    assert reader(io.BytesIO(WHOLE + gzip.compress(b"more")), "gz").read() == PLAIN + b"more"


def test_what_is_packed_here_is_read_by_others() -> None:
    compressor = gzip_compressor(2)
    assert gzip.decompress(compressor.compress(PLAIN) + compressor.flush()) == PLAIN


@pytest.mark.parametrize(
    "bad",
    [
        WHOLE[:-20],
        WHOLE[:-6] + b"abcdef",
        WHOLE[:50] + bytes([WHOLE[50] ^ 255]) * 40 + WHOLE[90:],
        b"no gzip at all",
        WHOLE + b"junk",
    ],
    ids=["cut", "length", "altered", "other", "more"],
)
def test_damaged_gzip_is_an_error(bad: bytes) -> None:
    with pytest.raises(damage()):
        reader(io.BytesIO(bad), "gz").read()


def test_damaged_zstd_is_an_error() -> None:
    with pytest.raises(damage()):
        reader(io.BytesIO(zstd(PLAIN, 3)[:-40] + b"x" * 40), "zst").read()
