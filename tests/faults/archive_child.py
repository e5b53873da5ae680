"""Reads malformed archives in a process of its own, within limits that the system holds; what the fuzz tests start.

Arguments: the sort of archive, the first seed, how many, and a folder. The process may hold no more than MEMORY and
write no larger file than FILE; what it prints are JSON lines: how each archive ended, or the traceback where that was
no error of the product. Beside the folder it works in lies another, `outside`, that has to stay as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import resource
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import evil_packages
import zstandard
from evil_images import layout, saved
from evil_tars import END, GZIP, PLAIN, ZSTD, Chance, compressed, header, tar
from fuzzlab import Shop, bounded, sound

from pipeline import compression
from pipeline.assemble.scan import describe
from pipeline.digest import Digest
from pipeline.errors import PipelineError
from pipeline.facts import Platform
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.oci.image_facts import TOGETHER, image_facts
from pipeline.stages.bench import Bench
from pipeline.stages.foreign import ForeignImages
from pipeline.store.archive import unpacked
from pipeline.store.image_files import ImageFiles
from pipeline.store.members import members, merged
from pipeline.store.untar import unpack

MEMORY = 1 << 30
FILE = 64 << 20
BOMB = 3 << 29
_ZEROS = bytes(1 << 20)


class Reader:
    """The readers, each with a project and a store that they share; `outside` is where nothing may be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "canary").write_text("as it was")
        self.shop = Shop(folder / "shop")

    def layer(self, chance: Chance) -> None:
        """What is asked of a layer that was pulled."""
        blob, media_type = compressed(tar(chance, str(self.outside)), chance)
        store = self.shop.store
        with store.blobs.writer() as writer:
            writer.write(blob)
        layer = Layer(Descriptor(media_type, writer.digest, writer.size), _diff_id(blob, media_type))
        calls: list[Callable[[], object]] = [
            lambda: describe(store, layer),
            lambda: list(merged([members(store, layer, 1)])),
            lambda: image_facts(ImageFiles(store, [layer], TOGETHER), {}, Platform()),
            lambda: [len(piece) for piece in unpacked(store, layer)],
            lambda: self._unpack(store.blobs.path(layer.blob.digest), media_type, chance.random() < 0.5),
        ]
        self._each(calls)

    def bomb(self, chance: Chance) -> None:
        """A few hundred kilobytes that unpack to more than the process may hold, in a file
        or in the headers.
        """
        start = chance.choice([header(b"bomb", BOMB), header(b"bomb", BOMB, b"L"), header(b"bomb", BOMB, b"x")])
        store, unpacks_to = self.shop.store, hashlib.sha256(start)
        packer = zstandard.ZstdCompressor(level=1).compressobj()
        with store.blobs.writer() as writer:
            writer.write(packer.compress(start))
            for _ in range(BOMB >> 20):
                writer.write(packer.compress(_ZEROS))
                unpacks_to.update(_ZEROS)
            writer.write(packer.compress(END) + packer.flush())
        unpacks_to.update(END)
        layer = Layer(Descriptor(ZSTD, writer.digest, writer.size), Digest("sha256:" + unpacks_to.hexdigest()))
        self._each([lambda: describe(store, layer), lambda: [None for _ in unpacked(store, layer)]])

    def layout(self, chance: Chance) -> None:
        """A base of an OCI layout, a folder or a tar."""
        place = self.shop.folder / f"layout{chance.random()}"
        layout(place, chance, self.outside)
        self._image("layout", place)

    def saved(self, chance: Chance) -> None:
        """A base of what `docker save` wrote."""
        place = self.shop.folder / f"saved{chance.random()}.tar"
        place.write_bytes(saved(chance, self.outside))
        self._image("archive", place)

    def deb(self, chance: Chance) -> None:
        """A package of a debs layer."""
        self._each([lambda: evil_packages.deb(chance, self.folder / "work", str(self.outside))])

    def wheel(self, chance: Chance) -> None:
        """A wheel of a pip layer, as it lies unpacked."""
        self._each([lambda: evil_packages.wheel(chance, self.folder / "work")])

    def _image(self, kind: str, place: Path) -> None:
        bench = Bench(self.shop.manifest, self.shop.home, {"PATH": ""})
        bench.adopt(self.shop.store)
        images = ForeignImages(bench)
        self._each([lambda: getattr(images, kind)(place.name, "", Platform())])
        shutil.rmtree(place, ignore_errors=True)
        place.unlink(missing_ok=True)

    def _unpack(self, blob: Path, media_type: str, as_root: bool) -> None:
        into = self.folder / "unpacked"
        into.mkdir()
        try:
            unpack(blob, media_type, into, as_root=as_root and os.geteuid() == 0)
        except ValueError:
            pass  # As it says: the callers name the layer.
        finally:
            shutil.rmtree(into)

    def _each(self, calls: list[Callable[[], object]]) -> None:
        """Every call, even after one that failed; the first error is what a user would see."""
        first: PipelineError | None = None
        for call in calls:
            try:
                call()
            except PipelineError as error:
                sound(error)
                first = first or error
        if first:
            raise first

    def unharmed(self) -> None:
        assert [path.name for path in self.outside.iterdir()] == ["canary"], list(self.outside.iterdir())
        assert (self.outside / "canary").read_text() == "as it was"
        assert (self.outside / "canary").stat().st_nlink == 1


def _diff_id(blob: bytes, media_type: str) -> Digest:
    """What the blob unpacks to, where it does; else some digest."""
    try:
        if media_type == GZIP:
            blob = gzip.decompress(blob)
        elif media_type == ZSTD:
            blob = zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True).read()
    except (OSError, EOFError, *compression.damage()):
        assert media_type != PLAIN
    return Digest("sha256:" + hashlib.sha256(blob).hexdigest())


def main(sort: str, first: int, number: int, folder: Path) -> None:
    # Of its own memory: what threads reserve and never touch would count as address space.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    reader = Reader(folder)
    for seed in range(first, first + number):
        try:
            with bounded():
                getattr(reader, sort)(random.Random(f"{sort} {seed}"))
            told = {"end": "read"}
        except PipelineError as error:
            told = {"end": "refused", "said": str(error)[:300]}
        except BaseException:
            told = {"end": "broken", "said": traceback.format_exc()[-3000:]}
        reader.unharmed()
        print(json.dumps({"seed": seed, **told}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
