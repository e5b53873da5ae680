"""Every file of a home is damaged after a run, one by one: a run that needs it makes it again, and the same images."""

from __future__ import annotations

import gc
import io
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from faultlab import PLUGINS, Lab
from registry_server import RealRegistry, running

from pipeline.cli._door import run

Make = Callable[..., Lab]
Figure = Callable[[str, int], None]


@pytest.fixture(scope="module")
def own_registry() -> Iterator[RealRegistry]:
    """One that can be emptied, so that every blob is read to be sent again."""
    with running() as found:
        yield found


class Shop:
    """A project that ran once, and can be run again with a registry that has forgotten everything."""

    def __init__(self, folder: Path, registry: RealRegistry) -> None:
        self.lab = Lab(folder, registry.address)
        self._registry = registry
        assert self.run() == (0, ""), self.said
        self.sound = self.lab.result()

    def run(self, *args: str) -> tuple[int, str]:
        """Its exit code, and what was wrong; nothing may be taken for a bug."""
        out, err = io.StringIO(), io.StringIO()
        # As at the end of a process: what is left open holds on to files that were damaged, or are to be.
        gc.collect()
        code = run(args or ("run", str(self.lab.manifest)), environ=self.lab.environ, out=out, err=err)
        gc.collect()
        self.said = out.getvalue() + err.getvalue()
        assert "Traceback" not in self.said and "bug:" not in self.said, self.said
        return code, err.getvalue()

    def emptied(self) -> None:
        for part in ("repositories", "blobs"):
            shutil.rmtree(self._registry.folder / "docker/registry/v2" / part, ignore_errors=True)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def deleted(path: Path) -> None:
    path.unlink()


PAGE = 4096
"""Bytes in a page of SQLite's, unless it was told otherwise."""


def page(number: int) -> Damage:
    """Another kind of page than it is (SQLite's file format, section 1.6)."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        # The first page begins with the header of the file, 100 bytes.
        place = number * PAGE if number else 100
        if place < len(data):
            data[place] ^= 0xFF
        path.write_bytes(data)

    return change


Damage = Callable[[Path], None]
DAMAGES: list[Damage] = [flipped, truncated, deleted]


def names(shop: Shop) -> list[Path]:
    """Every file of the home."""
    home = shop.lab.home
    return sorted(path.relative_to(home) for path in home.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.fixture
def shop(tmp_path: Path, own_registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Shop:
    for plugin in PLUGINS:
        monkeypatch.syspath_prepend(str(plugin))
    return Shop(tmp_path / "lab", own_registry)


def test_a_run_survives_any_damaged_file(shop: Shop, figure: Figure) -> None:
    """Each file in one of the ways, by turns."""
    damaged(shop, list(zip(names(shop), itertools.cycle(DAMAGES), strict=False)), figure)


def test_a_run_survives_a_damaged_page_of_the_database(shop: Shop, figure: Figure) -> None:
    """Every second one; most of them no run reads."""
    damaged(shop, pages(shop)[1::2], figure)


@pytest.mark.long
def test_a_run_survives_any_damaged_page_of_the_database(shop: Shop, figure: Figure) -> None:
    damaged(shop, pages(shop), figure)


def pages(shop: Shop) -> list[tuple[Path, Damage]]:
    """The pages of the store's database, and the damage of each."""
    shop.run()
    database = Path("store/store.db")
    return [(database, page(number)) for number in range((shop.lab.home / database).stat().st_size // PAGE)]


@pytest.mark.long
def test_a_run_survives_any_damage_of_any_file(shop: Shop, figure: Figure) -> None:
    damaged(shop, [(name, damage) for damage in DAMAGES for name in names(shop)], figure)


def damaged(shop: Shop, damages: Sequence[tuple[Path, Damage]], figure: Figure) -> None:
    for name, damage in damages:
        path = shop.lab.home / name
        # SQLite has these in its memory while it works, and has removed them where nobody does.
        if not path.is_file() or name.name.endswith(("-wal", "-shm")):
            continue
        damage(path)
        shop.emptied()
        code, _ = shop.run()
        assert code in (0, 3), f"{name}: {shop.said}"
        if code:
            assert shop.run()[0] == 0, f"{name}: {shop.said}"
        assert shop.lab.tags() == shop.sound.tags, f"{name}: {shop.said}"
        # What nobody had to read is found by who reads everything.
        assert shop.run("store", "verify")[0] in (0, 3)
        assert shop.run()[0] == 0, f"{name}: {shop.said}"
        assert shop.run("store", "verify")[0] == 0, f"{name}: {shop.said}"
        found = shop.lab.result()
        assert (found.images, found.tags) == (shop.sound.images, shop.sound.tags), name
    figure("store files damaged", len(damages))
