"""Layers unpacked once, each in a folder of its own, for sandboxes and for packers that read what lies below."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from pipeline.digest import Digest, short
from pipeline.errors import StoreError
from pipeline.oci.descriptor import Layer
from pipeline.store.blobs import damaged, missing
from pipeline.store.scratch import cannot_write


class Roots:
    """Unpacked layers below `folder`, named by the hexadecimal digits of their diff ID.

    `blob_path` tells where a layer's blob lies. Each layer is published by one rename, so a folder that is there is
    whole, whatever was killed before. Safe for several threads and processes at once.
    """

    def __init__(self, folder: Path, blob_path: Callable[[Digest], Path], *, as_root: bool | None = None) -> None:
        self.folder = folder
        self._blob_path = blob_path
        self._as_root = os.geteuid() == 0 if as_root is None else as_root

    def layer(self, layer: Layer) -> Path:
        """The folder that holds a layer's files, in the form an overlay's lower directory has.

        Raises AssembleError for a tar that would write outside of it, StoreError for a blob that is missing or damaged.
        """
        name = layer.diff_id.removeprefix("sha256:")
        folder = self.folder / name
        if folder.is_dir():
            # Left by a process that was killed at its very end.
            with suppress(OSError):
                self._lock(name).unlink(missing_ok=True)
            return folder
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._guard(name):
            if not folder.is_dir():
                self._unpack(layer, self.folder / f".{name}.partial", folder)
        return folder

    def files(self, layer: Layer, wanted: Callable[[str], bool], scratch: Path) -> Path:
        """A folder with a layer's regular files whose path is `wanted`, maybe with others: the whole layer if it is
        unpacked already, else a new folder in `scratch`. Raises as `layer` does.

        Making a file is what costs time: a system's Python sources are a fifth of its files.
        """
        folder = self.folder / layer.diff_id.removeprefix("sha256:")
        if folder.is_dir():
            return folder
        from pipeline.store.untar import unpack_files

        part = Path(mkdtemp(dir=scratch))
        try:
            digest = unpack_files(self._blob_path(layer.blob.digest), layer.blob.media_type, part, wanted)
            if digest and digest != layer.diff_id:
                raise self._damaged(layer, f"its content is {short(Digest(digest))}")
        except ValueError as error:
            raise self._damaged(layer, str(error)) from error
        except OSError as error:
            raise self._cannot(layer, error) from error
        return part if digest else self.layer(layer)

    def _unpack(self, layer: Layer, staging: Path, folder: Path) -> None:
        if staging.exists():
            remove_tree(staging)
        staging.mkdir()
        # Whatever umask the user has: a service may run as somebody else.
        staging.chmod(0o755)
        from pipeline.store.untar import unpack

        try:
            unpacked = unpack(self._blob_path(layer.blob.digest), layer.blob.media_type, staging, as_root=self._as_root)
            if unpacked.digest != layer.diff_id:
                raise self._damaged(layer, f"its content is {short(unpacked.digest)}")
            if not unpacked.native:
                _copy_only(folder).touch()
            staging.rename(folder)
        except ValueError as error:
            raise self._damaged(layer, str(error)) from error
        except OSError as error:
            raise self._cannot(layer, error) from error
        finally:
            if staging.exists():
                remove_tree(staging)

    def together(self, layers: Sequence[Layer]) -> Path:
        """A folder with the files of several layers, as hard links; for layers that remove nothing of each other."""
        if len(layers) == 1:
            return self.layer(layers[0])
        from hashlib import sha256

        name = "of-" + sha256(" ".join(layer.diff_id for layer in layers).encode()).hexdigest()
        folder = self.folder / name
        sources = [self.layer(layer) for layer in layers]
        with self._guard(name):
            if not folder.is_dir():
                staging = self.folder / f".{name}.partial"
                remove_tree(staging)
                for source in sources:
                    shutil.copytree(source, staging, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
                staging.rename(folder)
        return folder

    def tar(self, layer: Layer) -> Iterator[bytes]:
        """A layer's uncompressed tar, in pieces. StoreError for a blob that is missing or damaged."""
        from pipeline.store.tarstream import CHUNK, open_tar

        try:
            with open_tar(self._blob_path(layer.blob.digest), layer.blob.media_type) as stream:
                while piece := stream.read(CHUNK):
                    yield piece
        except (OSError, ValueError) as error:
            raise self._damaged(layer, getattr(error, "strerror", None) or str(error)) from error

    def _cannot(self, layer: Layer, error: OSError) -> StoreError:
        blob = self._blob_path(layer.blob.digest)
        if not blob.exists():
            return missing(layer.blob.digest)
        if error.errno == errno.EIO:
            return self._damaged(layer, "it cannot be read")
        return cannot_write(error, self.folder, f"cannot unpack layer {short(layer.diff_id)}")

    def _damaged(self, layer: Layer, why: str) -> StoreError:
        name = f"layer {short(layer.diff_id)} (blob {short(layer.blob.digest)})"
        return damaged(self._blob_path(layer.blob.digest), layer.blob.digest, f"{name} is damaged: {why}", why)

    def _lock(self, name: str) -> Path:
        return self.folder / f".{name}.lock"

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        path = self._lock(name)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
            # Whoever waits on the removed file, or makes a new one, finds the layer's folder there and is done.
            path.unlink(missing_ok=True)


def overlay_ready(folder: Path) -> bool:
    """Whether an unpacked layer can be an overlay's lower directory; else layers have to be merged by copying."""
    return not _copy_only(folder).exists()


def _copy_only(folder: Path) -> Path:
    return folder.with_name(folder.name + ".copy-only")


def remove_tree(folder: Path) -> None:
    """Removes a folder, those parts included that their owner may not enter (an overlay's work folder has mode 0)."""

    def enter(function: Callable[..., object], path: str, _error: object) -> None:
        parent = Path(path).parent
        for locked in (parent, Path(path)):
            if locked.is_dir() and not locked.is_symlink() and locked.is_relative_to(folder):
                locked.chmod(0o700)
        if function in (os.open, os.scandir, os.lstat):
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)

    if folder.exists():
        shutil.rmtree(folder, onerror=enter)
