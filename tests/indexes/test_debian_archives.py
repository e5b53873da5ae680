"""Archives end to end: a signed archive made here, read by file address, with what goes wrong with archives."""

from __future__ import annotations

import hashlib
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.dpkg import ArchiveSettings
from pipeline.errors import OutOfReach, PipelineError, ResolveError
from pipeline.indexes.debian import DebianArchives

pysequoia = pytest.importorskip("pysequoia")

PACKAGES = {"tool": "libtool1", "libtool1": "", "other": ""}


class Archive:
    """A signed archive below a folder, with one suite and packages whose files are any bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root / "mirror"
        self.key = pysequoia.Tsk.generate("Archive <archive@example.com>")
        self.keyring = root / "keyring.asc"
        self.keyring.write_text(str(self.key.extract_certificate()))
        stanzas = []
        for name, depends in PACKAGES.items():
            data, path = f"deb of {name}".encode(), self.root / f"pool/main/{name}_1_amd64.deb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            stanzas.append(
                f"Package: {name}\nVersion: 1\nArchitecture: amd64\nDepends: {depends}\n"
                f"Filename: pool/main/{path.name}\n"
                f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
            )
        self.indexes = {
            "main/binary-amd64/Packages.xz": lzma.compress("\n".join(stanzas).encode()),
            "main/Contents-amd64.xz": lzma.compress(
                b"usr/lib/x86_64-linux-gnu/libtool.so.1 libs/libtool1\nusr/lib/tool/libtool.so.1 libs/other\n"
            ),
        }
        self.publish()

    @property
    def dist(self) -> Path:
        return self.root / "dists/test"

    def publish(self, how: str = "InRelease", **fields: str) -> None:
        """Writes the indexes and the Release; `how` is InRelease, Release.gpg or unsigned."""
        lines = []
        for path, data in self.indexes.items():
            (self.dist / path).parent.mkdir(parents=True, exist_ok=True)
            (self.dist / path).write_bytes(data)
            lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}")
        head = {"Origin": "Test", "Codename": "test", "Architectures": "amd64", "Components": "main", **fields}
        text = "".join(f"{k}: {v}\n" for k, v in head.items()) + "SHA256:\n" + "\n".join(lines) + "\n"
        for name in ("InRelease", "Release", "Release.gpg"):
            (self.dist / name).unlink(missing_ok=True)
        signer, mode = self.key.signer(), pysequoia.SignatureMode
        if how == "InRelease":
            (self.dist / how).write_bytes(pysequoia.sign(signer, text.encode(), mode=mode.CLEAR))
            return
        (self.dist / "Release").write_text(text)
        if how == "Release.gpg":
            (self.dist / how).write_bytes(pysequoia.sign(signer, text.encode(), mode=mode.DETACHED))

    def settings(self, **changes: Any) -> ArchiveSettings:
        given = {"mirror": self.root.as_uri(), "keyring": str(self.keyring), "updates": False, "security": False}
        return ArchiveSettings("debian", "test", ("main",), **{**given, **changes})


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


Reader = Callable[..., DebianArchives]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    def make(**options: Any) -> DebianArchives:
        given: dict[str, Any] = {"etc": tmp_path / "etc", "keyrings": tmp_path / "keyrings"}
        return DebianArchives(tmp_path / "cache", {}, lambda _: None, **{**given, **options})

    return make


def test_resolves_to_files_with_hashes_and_no_host(archive: Archive, reader: Reader) -> None:
    locked = reader().resolve(archive.settings(), "amd64", ["tool"])
    assert [p["name"] for p in locked] == ["libtool1", "tool"]
    assert locked[1] == {
        "name": "tool",
        "version": "1",
        "architecture": "amd64",
        "file": "pool/main/tool_1_amd64.deb",
        "size": 11,
        "sha256": hashlib.sha256(b"deb of tool").hexdigest(),
        "archive": "main",
    }


def test_a_detached_signature_will_do(archive: Archive, reader: Reader) -> None:
    archive.publish("Release.gpg")
    assert reader().resolve(archive.settings(), "amd64", ["other"])


def test_fetches_into_the_cache_and_from_it(archive: Archive, reader: Reader) -> None:
    archives = reader()
    locked = archives.resolve(archive.settings(), "amd64", ["tool"])
    arrived: dict[str, bytes] = {}
    paths = archives.fetch(
        locked, archive.settings(), "amd64", lambda package, path: arrived.update({package["name"]: path.read_bytes()})
    )
    assert [p.read_bytes() for p in paths] == [b"deb of libtool1", b"deb of tool"]
    assert arrived == {"libtool1": b"deb of libtool1", "tool": b"deb of tool"}
    for file in (archive.root / "pool/main").iterdir():
        file.unlink()
    arrived.clear()
    assert reader().fetch(locked, archive.settings(), "amd64", lambda package, _: arrived.update(package)) == paths
    assert not arrived


def test_a_damaged_file_in_the_cache_is_fetched_again(archive: Archive, reader: Reader) -> None:
    locked = reader().resolve(archive.settings(), "amd64", ["other"])
    (path,) = reader().fetch(locked, archive.settings(), "amd64")
    path.write_bytes(b"DEB of other")
    assert reader().fetch(locked, archive.settings(), "amd64")[0].read_bytes() == b"deb of other"


def test_a_damaged_index_in_the_cache_is_fetched_again(archive: Archive, reader: Reader, tmp_path: Path) -> None:
    first = reader().resolve(archive.settings(), "amd64", ["tool"])
    (kept,) = (tmp_path / "cache/indexes").iterdir()
    data = bytearray(kept.read_bytes())
    data[-3] ^= 0xFF
    kept.write_bytes(data)
    assert reader().resolve(archive.settings(), "amd64", ["tool"]) == first


def test_a_file_that_left_the_archive_says_to_lock_again(archive: Archive, reader: Reader) -> None:
    locked = reader().resolve(archive.settings(), "amd64", ["other"])
    (archive.root / locked[0]["file"]).unlink()
    with pytest.raises(ResolveError, match="other 1 has left the archive") as raised:
        reader().fetch(locked, archive.settings(), "amd64")
    assert "pipeline lock" in raised.value.remedy and not raised.value.transient


def test_a_file_that_is_not_the_promised_one_never_enters_the_cache(
    archive: Archive, reader: Reader, tmp_path: Path
) -> None:
    locked = reader().resolve(archive.settings(), "amd64", ["other"])
    (archive.root / locked[0]["file"]).write_bytes(b"deb of OTHER")
    with pytest.raises(ResolveError, match="not the file that the signed index promises"):
        reader().fetch(locked, archive.settings(), "amd64")
    assert not list((tmp_path / "cache/debs").iterdir())


def test_an_index_without_a_signature_is_refused(archive: Archive, reader: Reader) -> None:
    archive.publish("unsigned")
    with pytest.raises(ResolveError, match=r"index of test on file:.*it is not signed.*keyring\.asc"):
        reader().resolve(archive.settings(), "amd64", ["tool"])


@pytest.mark.parametrize("how", ["InRelease", "Release.gpg"])
def test_an_index_signed_by_another_key_is_refused(archive: Archive, reader: Reader, how: str) -> None:
    archive.key = pysequoia.Tsk.generate("Other <other@example.com>")
    archive.publish(how)
    with pytest.raises(ResolveError) as raised:
        reader().resolve(archive.settings(), "amd64", ["tool"])
    message = str(raised.value)
    assert "no key of the keyring has signed it" in message and str(archive.keyring) in message
    assert "backtrace" not in message and "\n" not in message


def test_a_changed_index_is_refused(archive: Archive, reader: Reader) -> None:
    path = archive.dist / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Test", b"Origin: Evil"))
    with pytest.raises(ResolveError, match="not to be trusted"):
        reader().resolve(archive.settings(), "amd64", ["tool"])


def test_text_outside_the_signature_counts_for_nothing(archive: Archive, reader: Reader) -> None:
    path = archive.dist / "InRelease"
    path.write_bytes(path.read_bytes() + b"\nCodename: other\n")
    assert reader().resolve(archive.settings(), "amd64", ["tool"])


def test_a_package_index_other_than_the_signed_one_is_refused(archive: Archive, reader: Reader) -> None:
    (archive.dist / "main/binary-amd64/Packages.xz").write_bytes(lzma.compress(b"Package: evil\nVersion: 1\n"))
    with pytest.raises(ResolveError, match="not the file that the signed index promises"):
        reader().resolve(archive.settings(), "amd64", ["evil"])


def test_an_expired_index_is_refused_unless_the_manifest_says_otherwise(archive: Archive, reader: Reader) -> None:
    archive.publish(**{"Valid-Until": "Sat, 28 Nov 2020 00:53:02 UTC"})
    with pytest.raises(ResolveError, match="expired on Sat, 28 Nov 2020"):
        reader().resolve(archive.settings(), "amd64", ["tool"])
    assert reader(now=lambda: 1600000000.0).resolve(archive.settings(), "amd64", ["tool"])
    assert reader().resolve(archive.settings(check_valid_until=False), "amd64", ["tool"])


def test_the_signed_index_of_another_suite_is_refused(archive: Archive, reader: Reader) -> None:
    archive.publish(Codename="older", Suite="oldstable")
    with pytest.raises(ResolveError, match="that of another suite, older"):
        reader().resolve(archive.settings(), "amd64", ["tool"])


def test_missing_architecture_and_component_name_what_there_is(archive: Archive, reader: Reader) -> None:
    with pytest.raises(ResolveError, match=r"no packages for s390x \(it has amd64\)"):
        reader().resolve(archive.settings(), "s390x", ["tool"])
    settings = ArchiveSettings(
        **{f: getattr(archive.settings(), f) for f in archive.settings().__slots__} | {"components": ("man",)}
    )
    with pytest.raises(ResolveError, match=r"no component 'man' \(it has main\)"):
        reader().resolve(settings, "amd64", ["tool"])


def test_indexes_by_hash_are_read_where_the_archive_has_them(archive: Archive, reader: Reader) -> None:
    archive.publish(**{"Acquire-By-Hash": "yes"})
    path = archive.dist / "main/binary-amd64/Packages.xz"
    data = path.read_bytes()
    by_hash = path.parent / "by-hash/SHA256" / hashlib.sha256(data).hexdigest()
    by_hash.parent.mkdir(parents=True)
    path.rename(by_hash)
    assert reader().resolve(archive.settings(), "amd64", ["tool"])


def test_the_mirror_and_its_key_are_taken_from_apt(archive: Archive, reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "debian").symlink_to(archive.root)
    sources = tmp_path / "etc/apt/sources.list"
    sources.parent.mkdir(parents=True)
    uri = (tmp_path / "debian").as_uri()
    sources.write_text(f"deb [signed-by={archive.keyring}] {uri} bookworm main\n")
    settings = archive.settings(mirror="", keyring="")
    assert reader().resolve(settings, "amd64", ["tool"])


def test_without_a_keyring_the_error_says_what_to_install(archive: Archive, reader: Reader) -> None:
    with pytest.raises(ResolveError, match=r"no keyring to verify debian.*debian-archive-keyring"):
        reader().resolve(archive.settings(keyring=""), "amd64", ["tool"])


def test_a_mirror_that_does_not_answer_may_be_tried_again_and_shows_no_password(
    archive: Archive, reader: Reader
) -> None:
    settings = archive.settings(mirror="http://someone:hidden@127.0.0.1:9/debian")
    with pytest.raises(OutOfReach) as raised:
        reader().resolve(settings, "amd64", ["tool"])
    assert raised.value.transient and "hidden" not in str(raised.value)


def test_a_cache_that_cannot_be_written_is_an_error(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    archives = DebianArchives(tmp_path / "cache", {}, lambda _: None, etc=tmp_path, keyrings=tmp_path)
    with pytest.raises(PipelineError, match="cannot write"):
        archives.resolve(archive.settings(), "amd64", ["tool"])


def test_libraries_are_found_where_the_loader_looks(archive: Archive, reader: Reader) -> None:
    found = reader().contents("debian", "test", "amd64", ["libtool.so.1", "libnone.so"], archive.settings())
    assert found == {"libtool.so.1": "libtool1"}


@pytest.mark.network
def test_the_distribution_itself(tmp_path: Path) -> None:
    archives = DebianArchives(tmp_path, dict(os.environ), lambda _: None)
    locked = archives.resolve(ArchiveSettings("debian", "bookworm", updates=False), "amd64", ["python3"])
    names = {p["name"] for p in locked}
    assert {"python3", "python3.11", "libc6", "libpython3.11-stdlib"} <= names
    (path,) = archives.fetch(
        [p for p in locked if p["name"] == "python3"], ArchiveSettings("debian", "bookworm"), "amd64"
    )
    assert path.read_bytes().startswith(b"!<arch>\n")
