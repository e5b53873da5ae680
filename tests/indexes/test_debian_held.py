"""Debian packages that are locked stay where they fit, also when the index lists only newer ones."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path
from typing import Any

import pytest
from debmaker import make_deb
from test_debian_archives import Archive
from test_debian_solver import stanza

from pipeline.errors import OutOfReach
from pipeline.indexes.debian import DebianArchives
from pipeline.indexes.debian_held import locked
from pipeline.indexes.debian_packages import PackageFile, Universe
from pipeline.indexes.debian_solver import Solver
from pipeline.indexes.debian_version import Relation

pytest.importorskip("pysequoia")


class Mirror:
    """A signed archive whose packages come and go, and whoever asks it."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder)
        self.pool = self.archive.root / "pool/main"
        self.warned: list[str] = []
        self._folder = folder
        self.stanzas: dict[str, str] = {}
        self.list()

    def reader(self, cache: str = "cache") -> DebianArchives:
        etc, keyrings = self._folder / "etc", self._folder / "keyrings"
        return DebianArchives(
            self._folder / cache, {}, lambda _: None, warn=self.warned.append, etc=etc, keyrings=keyrings
        )

    def add(self, name: str, version: str, **fields: str) -> None:
        self.stanzas[name] = self.made(name, version, **fields)

    def made(self, name: str, version: str, **fields: str) -> str:
        """Puts a package into the pool; its lines for an index."""
        file = self.pool / f"{name}_{version}_amd64.deb"
        make_deb(file, name, {}, Version=version, **fields)
        data = file.read_bytes()
        text = stanza(name, version, **fields) + f"Filename: pool/main/{file.name}\nSize: {len(data)}\n"
        return text + f"SHA256: {hashlib.sha256(data).hexdigest()}\n"

    def list(self, *more: str) -> None:
        """Publishes an index of the newest of each, and of what else there is."""
        text = "\n".join([*self.stanzas.values(), *more])
        self.archive.indexes["main/binary-amd64/Packages.xz"] = lzma.compress(text.encode())
        self.archive.publish()

    def resolve(self, *packages: str, cache: str = "cache", **options: Any) -> list[dict[str, Any]]:
        return self.reader(cache).resolve(self.archive.settings(), "amd64", packages, **options)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirror(tmp_path)
    made.add("tool", "1", Depends="libtool1 (= 1)")
    made.add("libtool1", "1")
    made.add("other", "1")
    made.list()
    return made


def _versions(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["version"] for each in found}


def _newer(mirror: Mirror) -> None:
    mirror.add("tool", "2", Depends="libtool1 (= 2)")
    mirror.add("libtool1", "2")
    mirror.add("other", "2")
    mirror.list()


def test_one_package_more_moves_no_other_though_the_index_lists_newer_ones_alone(mirror: Mirror) -> None:
    held = mirror.resolve("tool")
    _newer(mirror)
    assert _versions(mirror.resolve("tool", "other")) == {"tool": "2", "libtool1": "2", "other": "2"}
    found = mirror.resolve("tool", "other", held=held)
    assert [each for each in found if each["name"] != "other"] == held
    assert _versions(found)["other"] == "2"
    assert not mirror.warned


def test_a_file_in_the_cache_will_do(mirror: Mirror) -> None:
    held = mirror.resolve("tool")
    mirror.reader().fetch(held, mirror.archive.settings(), "amd64")
    _newer(mirror)
    for file in mirror.pool.glob("*_1_amd64.deb"):
        file.unlink()
    assert mirror.resolve("tool", held=held) == held


def test_what_can_be_had_no_more_is_replaced_and_named(mirror: Mirror) -> None:
    held = mirror.resolve("tool", "other")
    _newer(mirror)
    (mirror.pool / "libtool1_1_amd64.deb").unlink()
    assert _versions(mirror.resolve("tool", "other", held=held)) == {"tool": "2", "libtool1": "2", "other": "1"}
    assert mirror.warned == ["libtool1 1 has left the archive: 2 takes its place"]


def test_a_file_that_is_another_now_is_no_answer(mirror: Mirror) -> None:
    held = mirror.resolve("other")
    _newer(mirror)
    (mirror.pool / "other_1_amd64.deb").write_bytes(b"x" * held[0]["size"])
    assert _versions(mirror.resolve("other", held=held)) == {"other": "2"}
    row = {**held[0], "name": "libtool1"}
    (mirror.pool / "other_1_amd64.deb").unlink()
    assert _versions(mirror.resolve("libtool1", held=[row], cache="empty")) == {"libtool1": "2"}


def test_a_mirror_that_does_not_answer_is_not_taken_for_one_without_the_file(mirror: Mirror) -> None:
    held = mirror.resolve("other")
    _newer(mirror)
    settings = mirror.archive.settings()
    reader = mirror.reader()
    assert _versions(reader.resolve(settings, "amd64", ["other"])) == {"other": "2"}
    with pytest.raises(OutOfReach):
        reader.resolve(mirror.archive.settings(mirror="http://127.0.0.1:9/none"), "amd64", ["other"], held=held)


def test_only_what_has_to_move_moves(mirror: Mirror) -> None:
    held = mirror.resolve("tool", "other")
    _newer(mirror)
    mirror.add("fresh", "1", Depends="libtool1 (>= 2)")
    mirror.list()
    # tool 1 needs libtool1 1: the two go together.
    found = mirror.resolve("tool", "other", "fresh", held=held)
    assert _versions(found) == {"tool": "2", "libtool1": "2", "other": "1", "fresh": "1"}


def test_the_locks_versions_are_for_its_own_architecture(mirror: Mirror) -> None:
    held = [{**row, "architecture": "arm64"} for row in mirror.resolve("other")]
    _newer(mirror)
    assert _versions(mirror.resolve("other", held=held)) == {"other": "2"}


def test_an_upgrade_moves_what_was_named_and_says_what_keeps_it_back(mirror: Mirror) -> None:
    held = mirror.resolve("tool", "other")
    _newer(mirror)
    kept = [row for row in held if row["name"] != "other"]
    assert _versions(mirror.resolve("tool", "other", held=kept, anew=["other"])) == {
        "tool": "1",
        "libtool1": "1",
        "other": "2",
    }
    assert not mirror.warned
    kept = [row for row in held if row["name"] != "libtool1"]
    found = mirror.resolve("tool", "other", held=kept, anew=["libtool1"])
    assert _versions(found) == {"tool": "2", "libtool1": "2", "other": "1"}
    held = mirror.resolve("other", held=held)
    mirror.resolve("other=1", held=held, anew=["other"])
    assert mirror.warned == ["other stays at 1, though there is 2: other (= 1) is asked for"]


def test_an_upgrade_names_the_locked_package_that_keeps_it_back(mirror: Mirror) -> None:
    mirror.add("kept", "1", Depends="other (<< 2)")
    mirror.list()
    held = mirror.resolve("kept")
    mirror.list(mirror.made("other", "2"), mirror.made("kept", "2", Depends="other"))
    kept = [row for row in held if row["name"] == "kept"]
    assert _versions(mirror.resolve("kept", held=kept, anew=["other"])) == {"kept": "1", "other": "1"}
    assert mirror.warned == [
        "other stays at 1, though there is 2: kept 1 needs other (<< 2) (upgrade both: --upgrade other kept)"
    ]
    assert _versions(mirror.resolve("kept", anew=["other", "kept"])) == {"kept": "2", "other": "2"}


def _solve(universe: Universe, *names: str, held: dict[str, str], below: dict[str, str] | None = None) -> Any:
    found = Solver(universe, "amd64", below, held=held).solve([Relation(name) for name in names])
    return {package.name: package.version for package in found}


def _universe(*stanzas: str) -> Universe:
    return Universe([PackageFile("\n".join(stanzas).encode(), "main")], "test (amd64)")


def test_a_held_alternative_and_a_held_provider_stay() -> None:
    where = _universe(
        stanza("mail", Depends="postfix | mta", Recommends=""),
        stanza("postfix", Provides="mta"),
        stanza("exim", Provides="mta", Priority="important"),
        stanza("small", Provides="mta"),
        stanza("sends", Depends="mta"),
    )
    assert _solve(where, "mail", held={}) == {"mail": "1", "postfix": "1"}
    assert _solve(where, "mail", held={"small": "1"}) == {"mail": "1", "small": "1"}
    assert _solve(where, "sends", held={}) == {"sends": "1", "exim": "1"}
    assert _solve(where, "sends", held={"small": "1"}) == {"sends": "1", "small": "1"}


def test_another_alternative_goes_before_moving_what_is_held() -> None:
    where = _universe(
        stanza("lib", "1"),
        stanza("lib", "2"),
        stanza("old", Depends="lib"),
        stanza("new", Depends="first | second"),
        stanza("first", Depends="lib (>= 2)"),
        stanza("second"),
    )
    assert _solve(where, "old", "new", held={"lib": "1"}) == {"lib": "1", "old": "1", "new": "1", "second": "1"}


def test_what_is_held_gives_way_to_a_new_base() -> None:
    where = _universe(
        stanza("lib-dev", "1", Depends="lib (= 1)"), stanza("lib-dev", "2", Depends="lib (= 2)"), stanza("lib", "2")
    )
    assert _solve(where, "lib-dev", held={"lib-dev": "1"}, below={"lib": "2"}) == {"lib-dev": "2"}


def test_of_hundreds_that_are_held_one_gives_way() -> None:
    many = [stanza(f"p{n}", v, Depends="lib") for n in range(300) for v in ("1", "2")]
    where = _universe(*many, stanza("lib", "1"), stanza("lib", "2"), stanza("new", Breaks="lib (<< 2)"))
    held = {**{f"p{n}": "1" for n in range(300)}, "lib": "1"}
    found = _solve(where, *(f"p{n}" for n in range(300)), "new", held=held)
    assert found == {**held, "lib": "2", "new": "1"}


def test_the_row_of_a_file_that_a_second_archive_lists_too_stays() -> None:
    def index(archive: str, file: str) -> PackageFile:
        return PackageFile((stanza("tool") + f"Filename: {file}\nSize: 1\nSHA256: 00\n").encode(), archive)

    main, security = index("main", "pool/main/tool.deb"), index("security", "pool/updates/tool.deb")
    (package,) = Solver(Universe([main, security], "test"), "amd64").solve([Relation("tool")])
    row = {**locked(package, [], Universe([main], "test")), "archive": "security", "file": "pool/updates/tool.deb"}
    assert locked(package, [row], Universe([main, security], "test")) == row
    assert locked(package, [row], Universe([main], "test"))["archive"] == "main"
    assert locked(package, [{**row, "sha256": "11"}], Universe([main, security], "test"))["archive"] == "main"
