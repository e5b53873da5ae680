"""Writes a layer's tar into a folder, as the lower directory of an overlay, and never outside of it.

Whiteouts become what the kernel's overlayfs reads (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque
directories"; image-spec, layer.md, "Whiteouts"). Every folder is opened from its parent without following links, so a
hostile tar can neither climb out nor write through a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import AssembleError
from pipeline.store.tarmembers import Members
from pipeline.store.tarstream import Stream, open_tar

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_OPEN_FOLDERS = 64
_DEPTH = 256
_NOT_HELD = (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EILSEQ)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unpacked(NamedTuple):
    """What was unpacked: the tar's digest, and whether the folder can be an overlay's lower directory."""

    digest: str
    native: bool


def unpack(blob: Path, media_type: str, folder: Path, *, as_root: bool) -> Unpacked:
    """Writes the layer in `blob` into the empty `folder`.

    Raises AssembleError for a tar that would write outside of it, ValueError for a blob that is damaged.
    """
    with contextlib.closing(Tree(folder, as_root=as_root)) as tree, open_tar(blob, media_type) as stream:
        try:
            for member in Members(stream):
                _add(tree, member, stream)
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(str(error)) from error
        # tarfile takes a header that it cannot read for the archive's end.
        if stream.drain():
            raise ValueError("it goes on after its end")
        tree.finish()
        return Unpacked(stream.digest, tree.native)


def unpack_files(blob: Path, media_type: str, folder: Path, wanted: Callable[[str], bool]) -> str:
    """Writes only the regular files of a layer whose path below the image's root is `wanted` into the empty `folder`.

    Gives the tar's digest, or nothing when that takes the whole layer: one of them is a hard link. Raises as `unpack`.
    """
    with contextlib.closing(Tree(folder, as_root=False)) as tree, open_tar(blob, media_type) as stream:
        try:
            for member in Members(stream):
                if (member.isreg() or member.islnk()) and wanted(_inside(member.name)):
                    if not member.isreg() or member.issparse():
                        return ""
                    _add(tree, member, stream)
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(str(error)) from error
        if stream.drain():
            raise ValueError("it goes on after its end")
        return stream.digest


def _add(tree: Tree, member: tarfile.TarInfo, content: Stream) -> None:
    """Adds a member; AssembleError for one that no file system holds, such as a name of a thousand letters."""
    try:
        tree.add(member, content)
    except OSError as error:
        if error.errno not in _NOT_HELD:
            raise
        fact = f"cannot unpack {member.name[:200]!r}: {error.strerror}"
        raise AssembleError(fact, remedy="do not use this image") from error


class Tree:
    """One layer's file system under construction below `folder`.

    `as_root` keeps owners, devices and file capabilities; without it everything belongs to this user, who can always
    read and remove it. `native` turns false when the file system cannot hold an overlay's whiteouts; they then stay in
    the tree as the tar has them, and the layers must be merged by copying.
    """

    def __init__(self, folder: Path, *, as_root: bool) -> None:
        self.native = True
        self._as_root = as_root
        self._folder = folder
        self._open: dict[str, int] = {"": os.open(folder, _FOLDER)}
        self._times: dict[str, int] = {}

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def add(self, member: tarfile.TarInfo, content: Stream) -> None:
        """Writes one member. Raises AssembleError for what would leave the folder or cannot be held."""
        path = _inside(member.name)
        parent_path, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            self._whiteout(parent_path, name)
        elif member.isdir():
            self._directory(path, member)
        elif not path:
            raise AssembleError("the layer's root is not a directory", remedy="the layer is damaged: build it again")
        elif member.isreg() and not member.issparse():
            self._file(parent_path, name, member, content)
        elif member.issym():
            parent = self._clear(parent_path, name)
            os.symlink(member.linkname, name, dir_fd=parent)
            self._own(name, parent, member)
        elif member.islnk():
            self._hard_link(parent_path, name, member)
        elif member.isfifo() or member.ischr() or member.isblk():
            self._device(parent_path, name, member)
        else:
            fact = f"tar member type {member.type!r} is not one a layer may have"
            raise AssembleError(f"cannot unpack {member.name}: {fact}")

    def finish(self) -> None:
        """Sets the folders' times, which adding members has moved."""
        for path, seconds in sorted(self._times.items(), reverse=True):
            with contextlib.suppress(OSError):
                os.utime(self._parent(path), (seconds, seconds))

    def _file(self, parent_path: str, name: str, member: tarfile.TarInfo, content: Stream) -> None:
        parent = self._parent(parent_path)
        try:
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:
            parent = self._clear(parent_path, name)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            content.copy_to(descriptor, member.size)
            if self._as_root:
                os.fchown(descriptor, member.uid, member.gid)
            os.fchmod(descriptor, self._mode(member, 0o600))
            if member.pax_headers:
                self._attributes(descriptor, member)
            os.utime(descriptor, (member.mtime, member.mtime))
        finally:
            os.close(descriptor)

    def _directory(self, path: str, member: tarfile.TarInfo) -> None:
        descriptor = self._parent(path)
        if self._as_root:
            os.fchown(descriptor, member.uid, member.gid)
        os.fchmod(descriptor, self._mode(member, 0o700))
        self._times[path] = int(member.mtime)

    def _hard_link(self, parent_path: str, name: str, member: tarfile.TarInfo) -> None:
        source_path, _, source = _inside(member.linkname).rpartition("/")
        if f"{source_path}/{source}" == f"{parent_path}/{name}":
            return
        self._clear(parent_path, name)
        source_parent = os.dup(self._parent(source_path))
        try:
            parent = self._parent(parent_path)
            os.link(source, name, src_dir_fd=source_parent, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise AssembleError(
                f"cannot unpack {member.name}: hard link to {member.linkname}: {error.strerror}"
            ) from error
        finally:
            os.close(source_parent)

    def _device(self, parent_path: str, name: str, member: tarfile.TarInfo) -> None:
        """Makes a device or a pipe; what an ordinary user may not make is left out, for /dev is the sandbox's own."""
        whiteout = member.ischr() and not (member.devmajor or member.devminor)
        if whiteout or not (self._as_root or member.isfifo()):
            return
        parent = self._clear(parent_path, name)
        form = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        mode, device = self._mode(member, 0o600), os.makedev(member.devmajor, member.devminor)
        with contextlib.suppress(PermissionError):
            os.mknod(name, form | mode, device, dir_fd=parent)
            os.chmod(name, mode, dir_fd=parent)
            self._own(name, parent, member)

    def _whiteout(self, parent_path: str, name: str) -> None:
        parent = self._parent(parent_path)
        hidden = name.removeprefix(_WHITEOUT)
        if name == _OPAQUE:
            self._opaque(parent)
        elif hidden in ("", ".", ".."):
            raise AssembleError(f"cannot unpack {parent_path}/{name}: it hides no name")
        elif not hidden.startswith(_WHITEOUT):
            try:
                os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
            except FileExistsError:
                # The layer has the name itself: only what lies below the layer is hidden.
                if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                    self._opaque(self._parent(f"{parent_path}/{hidden}".lstrip("/")))
            except PermissionError:
                self._marker(parent, name)

    def _opaque(self, folder: int) -> None:
        try:
            os.setxattr(folder, "user.overlay.opaque", b"y")
        except OSError:
            self._marker(folder, _OPAQUE)
        with contextlib.suppress(OSError):
            os.setxattr(folder, "trusted.overlay.opaque", b"y")

    def _marker(self, parent: int, name: str) -> None:
        self.native = False
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent))

    def _parent(self, path: str) -> int:
        """An open descriptor of the folder `path`, made where it is missing; good until the next call."""
        if (known := self._open.get(path)) is not None:
            return known
        above, _, name = path.rpartition("/")
        parent = self._parent(above)
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            descriptor = _made(name, parent)
        except OSError as error:
            descriptor = self._replaced(path, name, parent, error)
        if len(self._open) >= _OPEN_FOLDERS:
            oldest = next(key for key in self._open if key)
            os.close(self._open.pop(oldest))
        self._open[path] = descriptor
        return descriptor

    def _replaced(self, path: str, name: str, parent: int, error: OSError) -> int:
        """A folder in place of this layer's own whiteout: it hides all that lies below."""
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if error.errno not in (errno.ENOTDIR, errno.ELOOP) or not stat.S_ISCHR(info.st_mode) or info.st_rdev:
            kind = "a symbolic link" if stat.S_ISLNK(info.st_mode) else "not a directory"
            raise AssembleError(
                f"the layer writes into {path}, which is {kind} in the same layer",
                remedy="nothing was written there; do not use this image",
            ) from error
        os.unlink(name, dir_fd=parent)
        descriptor = _made(name, parent)
        self._opaque(descriptor)
        return descriptor

    def _clear(self, parent_path: str, name: str) -> int:
        """The folder `parent_path`, open, with nothing called `name` in it: of two members the later one counts."""
        parent = self._parent(parent_path)
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return parent
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(name, dir_fd=parent)
            for path in [p for p in self._open if p and (p + "/").startswith(f"{parent_path}/{name}/".lstrip("/"))]:
                os.close(self._open.pop(path))
                self._times.pop(path, None)
        return parent

    def _mode(self, member: tarfile.TarInfo, least: int) -> int:
        return member.mode & 0o7777 if self._as_root else (member.mode & 0o1777) | least

    def _own(self, name: str, parent: int, member: tarfile.TarInfo) -> None:
        if self._as_root:
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, (member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)

    def _attributes(self, descriptor: int, member: tarfile.TarInfo) -> None:
        """User attributes, and as root file capabilities; an overlay's own attributes are never taken from a tar."""
        for key, value in member.pax_headers.items():
            name = key.removeprefix("SCHILY.xattr.")
            allowed = name.startswith("user.") or (self._as_root and name == "security.capability")
            if name != key and allowed and not name.startswith("user.overlay."):
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, name, value.encode("utf-8", "surrogateescape"))


def _made(name: str, parent: int) -> int:
    """A new folder, open; for everybody, whatever umask the user has."""
    os.mkdir(name, dir_fd=parent)
    os.chmod(name, 0o755, dir_fd=parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def _inside(name: str) -> str:
    """A member's path below the image's root, for which `/` stands; refused when it climbs."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) > _DEPTH or "\0" in name:
        raise AssembleError(
            f"the layer holds {name[:200]!r}, a path that leaves the image",
            remedy="nothing was written there; do not use this image",
        )
    return "/".join(parts)
