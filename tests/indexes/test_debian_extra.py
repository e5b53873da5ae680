"""Further archives beside the distribution's own: with suites and components, or a folder of packages."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_debian_archives import Archive

from pipeline.dpkg import ArchiveSettings, ExtraArchive
from pipeline.errors import ResolveError
from pipeline.indexes.debian import DebianArchives

pysequoia = pytest.importorskip("pysequoia")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def reader(tmp_path: Path) -> DebianArchives:
    return DebianArchives(tmp_path / "cache", {}, lambda _: None, etc=tmp_path / "etc", keyrings=tmp_path / "keyrings")


def flat(root: Path, name: str = "vendor", version: str = "2.10") -> ExtraArchive:
    """A signed folder of one package, with its key beside it."""
    folder, key = root / "vendor", pysequoia.Tsk.generate("Vendor <vendor@example.com>")
    folder.mkdir()
    stanzas = ""
    for each in (version, "1.9"):
        data = f"deb of {name} {each}".encode()
        (folder / f"{name}_{each}.deb").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        stanzas += f"Package: {name}\nVersion: {each}\nArchitecture: amd64\nDepends: libtool1\n"
        stanzas += f"Filename: ./{name}_{each}.deb\nSize: {len(data)}\nSHA256: {digest}\n\n"
    (folder / "Packages").write_text(stanzas)
    listed = f" {hashlib.sha256(stanzas.encode()).hexdigest()} {len(stanzas)} Packages\n"
    text = f"Origin: Vendor\nSHA256:\n{listed}"
    signed = pysequoia.sign(key.signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR)
    (folder / "InRelease").write_bytes(signed)
    keyring = root / "vendor.asc"
    keyring.write_text(str(key.extract_certificate()))
    return ExtraArchive("vendor", (folder.as_uri(),), ("./",), keyring=str(keyring))


def test_a_folder_of_packages_adds_to_the_suite(archive: Archive, reader: DebianArchives, tmp_path: Path) -> None:
    settings = archive.settings(extra=(flat(tmp_path),))
    locked = reader.resolve(settings, "amd64", ["vendor"])
    assert [(p["name"], p["version"], p["archive"]) for p in locked] == [
        ("libtool1", "1", "main"),
        ("vendor", "2.10", "sources.vendor"),
    ]
    assert "file:" not in str(locked)
    assert [path.read_bytes() for path in reader.fetch(locked, settings, "amd64")][1] == b"deb of vendor 2.10"


def test_a_version_may_be_named_in_part_and_stays_what_it_was(
    archive: Archive, reader: DebianArchives, tmp_path: Path
) -> None:
    settings = archive.settings(extra=(flat(tmp_path),))

    def version(asked: str, **held: str) -> Any:
        rows = [{"name": name, "version": version} for name, version in held.items()]
        return next(
            p["version"] for p in reader.resolve(settings, "amd64", [asked], held=rows) if p["name"] == "vendor"
        )

    assert version("vendor=1.*") == "1.9"
    assert version("vendor=*") == "2.10"
    assert version("vendor=*", vendor="1.9") == version("vendor", vendor="1.9") == "1.9"
    with pytest.raises(ResolveError, match=r"vendor 3\.\* is not in debian test.*it has 2.10, 1.9"):
        version("vendor=3.*")


def test_a_mirror_of_the_archive_needs_no_key_and_is_read_once(archive: Archive, tmp_path: Path) -> None:
    said: list[str] = []
    reader = DebianArchives(tmp_path / "cache", {}, said.append, etc=tmp_path / "etc", keyrings=tmp_path / "keyrings")
    again = ExtraArchive("again", (archive.root.as_uri(),), ("test",), ("main",))
    settings = archive.settings(extra=(again,))
    assert [p["archive"] for p in reader.resolve(settings, "amd64", ["tool"])] == ["main", "main"]
    assert len([line for line in said if line.startswith("fetching the index")]) == 1


def test_an_archive_for_another_architecture_is_not_asked(archive: Archive, reader: DebianArchives) -> None:
    away = ExtraArchive("away", ("file:///nowhere",), ("test",), ("main",), architectures=("arm64",))
    assert reader.resolve(archive.settings(extra=(away,)), "amd64", ["tool"])


def test_an_archive_that_another_key_signed_is_refused(
    archive: Archive, reader: DebianArchives, tmp_path: Path
) -> None:
    extra = replace(flat(tmp_path), keyring=str(archive.keyring))
    with pytest.raises(ResolveError, match="no key of the keyring has signed it"):
        reader.resolve(archive.settings(extra=(extra,)), "amd64", ["vendor"])


def test_a_file_that_has_left_names_its_archive(archive: Archive, reader: DebianArchives, tmp_path: Path) -> None:
    settings: ArchiveSettings = archive.settings(extra=(flat(tmp_path),))
    locked = reader.resolve(settings, "amd64", ["vendor"])
    (tmp_path / "vendor/vendor_2.10.deb").unlink()
    with pytest.raises(ResolveError, match=r"vendor 2\.10 has left the archive of vendor"):
        reader.fetch(locked, settings, "amd64")
