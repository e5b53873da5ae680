"""Local content-addressed storage: blobs, keys, images and their tags, unpacked layers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.digest import Digest, short
from pipeline.errors import Lost
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.store.blobs import Blobs
from pipeline.store.database import Database
from pipeline.store.quarantine import FOLDER, set_aside
from pipeline.store.scratch import writing
from pipeline.store.seal import opened, sealed
from pipeline.store.uses import Uses

if TYPE_CHECKING:
    from pipeline.store.roots import Roots


class Store:
    """Everything that builds keep, under one folder. Safe against kills and against other processes at work in it.

    With `mend`, for whoever makes what is missing, a damaged database is set aside. With `late`, for whoever goes on
    without it, it is opened when something is asked.
    """

    def __init__(self, folder: Path, mend: bool = False, late: bool = False) -> None:
        self.folder = folder
        self.uses = Uses(folder / "uses")
        self.blobs = Blobs(folder / "blobs", folder / "scratch", self.uses.publishing)
        self.database = Database(folder / "store.db", mend, late)
        self.describe: Callable[[Layer], None] = lambda _layer: None

    @cached_property
    def roots(self) -> Roots:
        """Layers unpacked, for whoever needs their files."""
        from pipeline.store.roots import Roots

        return Roots(self.folder / "roots", self.blobs.path)

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder on the store's own file system that is gone afterwards."""
        return self.blobs.scratch.folder()

    @contextmanager
    def guard(self, name: str, waiting: Callable[[int], None] = lambda _process: None) -> Iterator[None]:
        """Holds off other threads and processes that do the same work; released by the system when a holder dies.

        `waiting` is told of the process that is waited for.
        """
        folder = self.folder / "guards"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / name).open("a+b", buffering=0)
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(_number(file))
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whom to wait for is good to know, and no more than that.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(str(os.getpid()).encode())
            yield

    # -- layers -------------------------------------------------------------------------------------------------

    def put_contents(self, layer: Layer, contents: dict[str, Any]) -> None:
        """Keeps what a layer holds beside its blob."""
        import zlib

        self.put_contents_file(layer, zlib.compress(json.dumps(contents).encode(), 1))

    def put_contents_file(self, layer: Layer, data: bytes) -> None:
        """As `put_contents`, from the very bytes of a store's file."""
        path = self.contents_file(layer.diff_id)
        with self.scratch() as folder, writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / "contents").write_bytes(data)
            with self.uses.publishing(layer.diff_id):
                (folder / "contents").replace(path)

    def contents(self, layer: Layer) -> dict[str, Any]:
        """What a layer holds (assemble.layer.Contents as JSON); Lost when that is missing or damaged.

        `describe` may find out what is not known; whoever opens the store may set it.
        """
        import zlib

        path = self.contents_file(layer.diff_id)
        if not path.exists():
            self.describe(layer)
        try:
            value: dict[str, Any] = json.loads(zlib.decompress(path.read_bytes()))
        except FileNotFoundError as error:
            raise Lost(layer.diff_id, f"what layer {short(layer.diff_id)} holds is not in the store") from error
        except (OSError, zlib.error, ValueError) as error:
            set_aside(path, self.folder / FOLDER)
            fact = f"what is known of layer {short(layer.diff_id)} was damaged on disk, and is set aside"
            raise Lost(layer.diff_id, fact) from error
        return value

    def put_files(self, layer: Layer, files: Mapping[str, bytes]) -> None:
        """Keeps a few small files of a layer, by their paths: who asks for them need not read its blob again."""
        if self.database.read_only:
            return
        import zlib

        path = self.contents_file(layer.diff_id).with_suffix(".files")
        # Latin-1 has a character for each byte.
        texts = {name: data.decode("latin-1") for name, data in files.items()}
        with self.scratch() as folder, writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / "files").write_bytes(zlib.compress(json.dumps(texts).encode(), 1))
            with self.uses.publishing(layer.diff_id):
                (folder / "files").replace(path)

    def files(self, layer: Layer) -> dict[str, bytes]:
        """What `put_files` kept of a layer; nothing where that is missing or damaged."""
        import zlib

        path = self.contents_file(layer.diff_id).with_suffix(".files")
        try:
            texts: dict[str, str] = json.loads(zlib.decompress(path.read_bytes()))
        except (OSError, zlib.error, ValueError):
            return {}
        return {name: text.encode("latin-1") for name, text in texts.items()}

    def has_layer(self, layer: Layer) -> bool:
        return self.blobs.has(layer.blob.digest, layer.blob.size) and self.knows(layer)

    def knows(self, layer: Layer) -> bool:
        """Whether it is known what a layer holds; its blob need not be there."""
        return self.contents_file(layer.diff_id).exists()

    def contents_file(self, diff_id: Digest) -> Path:
        """Where it is kept what a layer holds: JSON, compressed by zlib."""
        return self.folder / "contents" / diff_id.removeprefix("sha256:")

    # -- images -------------------------------------------------------------------------------------------------

    def name_image(self, name: str, image: Descriptor) -> None:
        """Remembers the newest image of a name; no tag moves."""
        self.database.execute(
            "INSERT OR REPLACE INTO images VALUES (?, ?, ?)", name, sealed(name, image.to_json()), time.time()
        )

    def images(self) -> dict[str, tuple[Descriptor, float]]:
        """The newest image of each name, and when it was made (Unix time in seconds)."""
        rows = self.database.execute("SELECT name, digest, made FROM images ORDER BY name")
        found = {name: (opened(name, image), made) for name, image, made in rows}
        return {name: (Descriptor.from_json(image), made) for name, (image, made) in found.items() if image}

    def is_named(self, name: str) -> bool:
        """Whether there is a newest image of a name."""
        rows = self.database.execute("SELECT digest FROM images WHERE name = ?", name)
        return bool(rows) and opened(name, rows[0][0]) is not None

    def move_tag(self, name: str, tag: str, image: Descriptor) -> None:
        self.database.execute(
            "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
            *(name, tag, sealed(f"{name}:{tag}", image.to_json()), time.time()),
        )

    def tags(self) -> dict[tuple[str, str], Descriptor]:
        rows = self.database.execute("SELECT name, tag, digest FROM tags ORDER BY name, tag")
        found = {(name, tag): opened(f"{name}:{tag}", image) for name, tag, image in rows}
        return {key: Descriptor.from_json(image) for key, image in found.items() if image}


def _number(file: IO[bytes]) -> int:
    """The process that a guard's file names; 0 where it has not written that yet."""
    file.seek(0)
    text = file.read(20)
    return int(text) if text.isdigit() else 0
