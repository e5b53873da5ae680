"""Packages put together as a layer, from .debs made here."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from debmaker import make_deb

from pipeline.assemble import deb, frame_layer
from pipeline.assemble.deb_opened import EARLY
from pipeline.assemble.entry import Entry
from pipeline.assemble.frame_cache import FrameCache
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.recipe import Assemble
from pipeline.store.blobs import Blobs

Pack = Callable[..., dict[str, Entry]]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Packs .debs, and checks what holds for every layer: one entry for each path, folders before what is in them."""

    def run(*debs: Path, roots: Sequence[Path] = (), distribution: str = "debian") -> dict[str, Entry]:
        (tmp_path / "scratch").mkdir(exist_ok=True)
        packages = [{"name": path.stem, "file": f"pool/{path.name}", "sha256": path.name} for path in debs]
        by_name = {path.stem: path for path in debs}
        indexes = SimpleNamespace(debian=SimpleNamespace(fetch=lambda wanted, *_: [by_name[p["name"]] for p in wanted]))
        inputs = {"distribution": distribution, "suite": "bookworm", "release": "12", "architecture": "amd64"}
        recipe = Assemble("deb", {**inputs, "packages": packages}, needs_root=bool(roots))
        work = Work(tmp_path, indexes, tmp_path / "scratch", Facts(), lambda: roots, lambda _: None)
        found: dict[str, Entry] = {}
        framed = deb.frames(recipe, work)
        members = [entry for frame in framed.frames for entry in frame.entries()]
        for entry in [*framed.folders([]), *members]:
            assert entry.path not in found, f"{entry.path} twice"
            above = entry.path.rpartition("/")[0]
            assert not above or (above in found and found[above].type == "dir"), f"{entry.path} before its folder"
            found[entry.path] = entry
        return found

    return run


def content(entry: Entry) -> str:
    assert isinstance(entry.source, bytes) and len(entry.source) == entry.size
    return entry.source.decode()


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_every_compression_is_read(pack: Pack, tmp_path: Path, compression: str) -> None:
    files = {"./usr/": None, "./usr/bin/": None, "./usr/bin/a": "A"}
    layer = pack(make_deb(tmp_path / "a.deb", "a", files, compression=compression))
    assert content(layer["usr/bin/a"]) == "A"
    assert layer["usr/bin/a"].owner == "a.deb"


def test_the_merged_usr(pack: Pack, tmp_path: Path) -> None:
    a = make_deb(tmp_path / "a.deb", "a", {"./bin/": None, "./bin/a": "A", "./lib64/": None, "./lib64/ld.so": "L"})
    b = make_deb(
        tmp_path / "b.deb", "b", {"./bin": "-> usr/bin", "./bin/which": "-> /usr/bin/which", "./bin/b": "=> ./bin/a"}
    )
    layer = pack(a, b)
    assert content(layer["usr/bin/a"]) == "A"
    assert content(layer["usr/lib64/ld.so"]) == "L"
    assert {n: layer[n].link for n in ("bin", "sbin", "lib", "lib64")} == {
        "bin": "usr/bin",
        "sbin": "usr/sbin",
        "lib": "usr/lib",
        "lib64": "usr/lib64",
    }
    assert "usr/bin/which" not in layer
    assert (layer["usr/bin/b"].type, layer["usr/bin/b"].link) == ("hardlink", "usr/bin/a")
    assert "libx32" not in layer


def test_modes_and_owners_are_the_packages(pack: Pack, tmp_path: Path) -> None:
    info = tarfile.TarInfo()
    info.mode, info.uid, info.gid = 0o4755, 0, 42
    layer = pack(make_deb(tmp_path / "a.deb", "a", {"./usr/bin/su": info}))
    assert (layer["usr/bin/su"].mode, layer["usr/bin/su"].gid) == (0o4755, 42)
    assert layer["tmp"].mode == layer["var/tmp"].mode == 0o1777
    assert layer["root"].mode == 0o700


def test_of_conflicting_files_the_one_that_replaces_wins(pack: Pack, tmp_path: Path) -> None:
    a = make_deb(tmp_path / "a.deb", "a", {"./usr/f": "A", "./usr/g": "A"})
    b = make_deb(tmp_path / "b.deb", "b", {"./usr/f": "B"}, Replaces="a (<< 9)")
    c = make_deb(tmp_path / "c.deb", "c", {"./usr/g": "C"})
    layer = pack(a, b, c)
    assert content(layer["usr/f"]) == "B"
    assert content(layer["usr/g"]) == "A"


def test_files_follow_links_to_folders(pack: Pack, tmp_path: Path) -> None:
    a = make_deb(tmp_path / "a.deb", "a", {"./usr/share/real/": None, "./usr/share/link": "-> real"})
    b = make_deb(tmp_path / "b.deb", "b", {"./usr/share/link/f": "F", "./var/run/b/": None})
    layer = pack(a, b)
    assert content(layer["usr/share/real/f"]) == "F"
    assert layer["run/b"].type == "dir" and layer["var/run"].type == "symlink"


@pytest.mark.parametrize("name", ["../evil", "./usr/../../evil", "/etc/evil", "./usr//../evil"])
def test_paths_that_leave_the_root_are_refused(pack: Pack, tmp_path: Path, name: str) -> None:
    with pytest.raises(AssembleError, match=r"a\.deb is refused"):
        pack(make_deb(tmp_path / "a.deb", "a", {name: "x"}))


def test_hard_links_out_of_the_root_are_refused(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(AssembleError, match="refused"):
        pack(make_deb(tmp_path / "a.deb", "a", {"./usr/x": "=> ../../etc/shadow"}))


def test_a_link_does_not_lead_a_file_out_of_the_root(pack: Pack, tmp_path: Path) -> None:
    layer = pack(make_deb(tmp_path / "a.deb", "a", {"./usr/out": "-> ../../../..", "./usr/out/evil": "x"}))
    assert content(layer["evil"]) == "x"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(pack: Pack, tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo()
    info.type = kind
    with pytest.raises(AssembleError, match="device"):
        pack(make_deb(tmp_path / "a.deb", "a", {"./usr/dev": info}))


@pytest.mark.parametrize(
    "harm", [lambda d: b"junk" + d, lambda d: d[: len(d) - 40], lambda d: d[:200] + b"\xff" * 40 + d[240:]]
)
def test_a_damaged_deb_is_one_clear_error(pack: Pack, tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    path = make_deb(tmp_path / "a.deb", "a", {"./usr/f": "x" * 5000})
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(AssembleError, match=r"a\.deb"):
        pack(path)


MPIRUN = """#!/bin/sh
set -e
if [ "$1" = "configure" ]; then
update-alternatives \\
\t--install /usr/bin/mpirun mpirun /usr/bin/mpirun.%s %s \\
\t--slave /usr/bin/mpiexec mpiexec /usr/bin/mpiexec.%s
fi
"""


def test_alternatives_are_registered_and_the_highest_priority_wins(pack: Pack, tmp_path: Path) -> None:
    debs = []
    for name, priority in (("openmpi", "50"), ("mpich", "40")):
        files = {f"./usr/bin/mpirun.{name}": name, f"./usr/bin/mpiexec.{name}": name}
        debs.append(make_deb(tmp_path / f"{name}.deb", name, files, {"postinst": MPIRUN % (name, priority, name)}))
    layer = pack(*debs)
    assert layer["usr/bin/mpirun"].link == "/etc/alternatives/mpirun"
    assert layer["etc/alternatives/mpirun"].link == "/usr/bin/mpirun.openmpi"
    assert layer["etc/alternatives/mpiexec"].link == "/usr/bin/mpiexec.openmpi"
    assert content(layer["var/lib/dpkg/alternatives/mpirun"]) == (
        "auto\n/usr/bin/mpirun\nmpiexec\n/usr/bin/mpiexec\n\n"
        "/usr/bin/mpirun.mpich\n40\n/usr/bin/mpiexec.mpich\n"
        "/usr/bin/mpirun.openmpi\n50\n/usr/bin/mpiexec.openmpi\n\n"
    )


def test_alternatives_of_files_that_are_not_there_are_left_out(pack: Pack, tmp_path: Path) -> None:
    a = make_deb(tmp_path / "a.deb", "a", {"./usr/bin/mpirun.x": "x"}, {"postinst": MPIRUN % ("x", "5", "x")})
    layer = pack(a)
    assert "usr/bin/mpirun" in layer and "usr/bin/mpiexec" not in layer


def test_the_database_of_dpkg(pack: Pack, tmp_path: Path) -> None:
    control = {
        "conffiles": "/etc/a.conf\n",
        "md5sums": "0 usr/bin/a\n",
        "triggers": "interest-noawait /usr/lib/x\ninterest t\n",
    }
    files = {"./": None, "./etc/": None, "./etc/a.conf": "x=1\n", "./bin/a": "A"}
    a = make_deb(tmp_path / "a.deb", "a", files, control, Multi_Arch="same", Depends="b")
    layer = pack(a, make_deb(tmp_path / "b.deb", "b", {"./usr/b": "b"}, {"postinst": "#!/bin/sh\n"}))
    md5 = hashlib.md5(b"x=1\n").hexdigest()
    assert content(layer["var/lib/dpkg/status"]) == (
        "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
        f"Conffiles:\n /etc/a.conf {md5}\nDescription: a test\nMulti-Arch: same\nDepends: b\n\n"
        "Package: b\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nDescription: a test\n\n"
    )
    assert content(layer["var/lib/dpkg/info/a:amd64.list"]) == "/.\n/etc\n/etc/a.conf\n/bin/a\n"
    assert content(layer["var/lib/dpkg/info/a:amd64.md5sums"]) == "0 usr/bin/a\n"
    assert layer["var/lib/dpkg/info/b.postinst"].mode == 0o755
    assert content(layer["var/lib/dpkg/triggers/File"]) == "/usr/lib/x a:amd64/noawait\n"
    assert content(layer["var/lib/dpkg/triggers/t"]) == "a:amd64\n"


def test_what_scripts_would_have_made_for_a_service(pack: Pack, tmp_path: Path) -> None:
    layer = pack(make_deb(tmp_path / "a.deb", "a", {"./usr/bin/dash": "x"}))
    assert content(layer["etc/passwd"]).startswith("root:x:0:0:root:/root:/bin/bash\n")
    assert "nogroup:x:65534:" in content(layer["etc/group"])
    assert (layer["etc/shadow"].mode, layer["etc/shadow"].gid) == (0o640, 42)
    assert "hosts:          files dns" in content(layer["etc/nsswitch.conf"])
    assert 'VERSION_ID="12"' in content(layer["usr/lib/os-release"])
    assert layer["usr/bin/sh"].link == "dash"
    assert {"proc", "sys", "dev", "run", "home", "tmp"} <= set(layer)


def test_base_files_own_os_release_is_kept(pack: Pack, tmp_path: Path) -> None:
    files = {"./usr/lib/os-release": "ID=x\n", "./etc/os-release": "-> ../usr/lib/os-release"}
    assert content(pack(make_deb(tmp_path / "a.deb", "a", files))["usr/lib/os-release"]) == "ID=x\n"


def test_the_same_packages_give_the_same_layer_in_any_order(pack: Pack, tmp_path: Path) -> None:
    debs = [make_deb(tmp_path / f"{n}.deb", n, {f"./usr/{n}": n, "./usr/x": n}) for n in "abc"]
    assert list(pack(*debs).items()) == list(pack(*reversed(debs)).items())


def test_a_large_package_goes_through_a_scratch_file(pack: Pack, tmp_path: Path) -> None:
    big = bytes(range(256)) * (26 << 12)
    layer = pack(make_deb(tmp_path / "a.deb", "a", {"./usr/big": big, "./usr/small": "s"}, compression=".zst"))
    source = layer["usr/big"].source
    assert isinstance(source, Path) and source.read_bytes() == big and layer["usr/big"].size == len(big)
    assert content(layer["usr/small"]) == "s"


def unpack(layer: dict[str, Entry], root: Path) -> Path:
    root.mkdir()
    for path, entry in layer.items():
        place = root / path
        if entry.type == "dir":
            place.mkdir(entry.mode, exist_ok=True)
        elif entry.type == "symlink":
            place.symlink_to(entry.link)
        elif entry.type == "hardlink":
            place.hardlink_to(root / entry.link)
        else:
            place.write_bytes(entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes())
    return root


def test_a_layer_on_top_adds_to_what_is_below(pack: Pack, tmp_path: Path) -> None:
    openmpi = {"./usr/bin/mpirun.openmpi": "o", "./usr/bin/mpiexec.openmpi": "o"}
    base = make_deb(tmp_path / "base.deb", "base", openmpi, {"postinst": MPIRUN % ("openmpi", "50", "openmpi")})
    root = unpack(pack(base), tmp_path / "root")
    files = {
        "./usr/bin/mpirun.mpich": "m",
        "./bin/new": "n",
        "./var/run/": None,
        "./usr/lib/sysusers.d/n.conf": "u new -\n",
    }
    top = make_deb(tmp_path / "top.deb", "top", files, {"postinst": MPIRUN % ("mpich", "60", "mpich")})
    layer = pack(top, roots=[root])
    assert content(layer["usr/bin/new"]) == "n"
    assert "bin" not in layer and "tmp" not in layer and "var/run" not in layer and "etc/os-release" not in layer
    status = content(layer["var/lib/dpkg/status"])
    assert "Package: base\n" in status and "Package: top\n" in status
    assert layer["etc/alternatives/mpirun"].link == "/usr/bin/mpirun.mpich"
    assert "mpirun.openmpi\n50\n" in content(layer["var/lib/dpkg/alternatives/mpirun"])
    passwd = content(layer["etc/passwd"])
    assert passwd.startswith("root:x:0:0:") and "new:x:999:999:" in passwd


def test_a_layer_on_top_leaves_alone_what_it_does_not_change(pack: Pack, tmp_path: Path) -> None:
    root = unpack(pack(make_deb(tmp_path / "base.deb", "base", {"./usr/b": "b"})), tmp_path / "root")
    layer = pack(make_deb(tmp_path / "top.deb", "top", {"./usr/t": "t"}), roots=[root])
    assert not {"etc/passwd", "etc/nsswitch.conf", "etc/ld.so.cache", "etc/ssl/certs/ca-certificates.crt"} & set(layer)


def test_a_layer_on_an_image_without_merged_usr_leaves_paths_as_they_are(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "root/bin").mkdir(parents=True)
    layer = pack(make_deb(tmp_path / "a.deb", "a", {"./bin/a": "A"}), roots=[tmp_path / "root"])
    assert content(layer["bin/a"]) == "A"


def test_a_package_that_was_packed_is_not_opened_again(tmp_path: Path) -> None:
    """Layers of it are the same whether it was packed before, for this layer or another, or is now."""
    conffile = {"./etc/": None, "./etc/b.conf": "B"}
    files = {
        "a": {"./usr/bin/a": "A", "./usr/share/both": "of a"},
        "b": {**conffile, "./usr/bin/b": "B" * 9000, "./usr/share/both": "of b"},
    }
    debs = {name: make_deb(tmp_path / f"{name}.deb", name, content) for name, content in files.items()}
    asked: list[str] = []

    def fetch(wanted: Sequence[Any], *_: Any) -> list[Path]:
        asked.extend(each["name"] for each in wanted)
        return [debs[each["name"]] for each in wanted]

    def layer(cache: FrameCache, *names: str) -> Any:
        packages = [{"name": name, "file": f"{name}.deb", "sha256": name} for name in names]
        inputs = {"distribution": "debian", "suite": "bookworm", "release": "12", "architecture": "amd64"}
        (tmp_path / "scratch").mkdir(exist_ok=True)
        work = Work(
            project=tmp_path,
            indexes=SimpleNamespace(debian=SimpleNamespace(fetch=fetch)),
            scratch=tmp_path / "scratch",
            parent=Facts(),
            roots=list,
            say=lambda _: None,
            recall=cache.recall,
            remember=cache.remember,
        )
        framed = deb.frames(Assemble("deb", {**inputs, "packages": packages}), work)
        return frame_layer.write(framed, Blobs(tmp_path / "blobs", tmp_path / "scratch"), cache)

    cold = layer(FrameCache(tmp_path / "one"), "a", "b")
    warm = FrameCache(tmp_path / "two")
    alone = layer(warm, "b")
    asked.clear()
    assert layer(warm, "a", "b") == cold
    # What of b gives way to a is packed once more.
    assert asked == ["a", "b"]
    asked.clear()
    assert layer(FrameCache(tmp_path / "two"), "a", "b") == cold
    assert layer(FrameCache(tmp_path / "two"), "b") == alone != cold
    assert asked == []


def test_packages_that_are_opened_as_they_arrive_give_the_same_layer(tmp_path: Path) -> None:
    debs = {name: make_deb(tmp_path / f"{name}.deb", name, {"./usr/": None, f"./usr/{name}": name}) for name in "abc"}
    (tmp_path / "scratch").mkdir()

    def layer(name: str, arriving: str, size: int) -> Any:
        def fetch(wanted: Sequence[Any], _settings: Any, _architecture: str, arrived: Any) -> list[Path]:
            for each in sorted(wanted, key=lambda each: arriving.find(each["name"])):
                if each["name"] in arriving:
                    arrived(each, debs[each["name"]])
            return [debs[each["name"]] for each in wanted]

        packages = [{"name": name, "file": f"{name}.deb", "sha256": name, "size": size} for name in debs]
        inputs = {"distribution": "debian", "suite": "bookworm", "release": "12", "architecture": "amd64"}
        indexes, cache = SimpleNamespace(debian=SimpleNamespace(fetch=fetch)), FrameCache(tmp_path / name)
        work = Work(tmp_path, indexes, tmp_path / "scratch", Facts(), list, lambda _: None)
        framed = deb.frames(Assemble("deb", {**inputs, "packages": packages}), work)
        return frame_layer.write(framed, Blobs(tmp_path / "blobs", tmp_path / "scratch"), cache)

    expected = layer("one", "", 1)
    assert layer("two", "cab", 1) == expected
    assert layer("three", "b", 1) == expected
    assert layer("four", "cab", EARLY) == expected
