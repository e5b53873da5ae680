"""Two images of the store compared: content, packages, and images that came without a record of what they hold."""

from __future__ import annotations

import pytest
from store_images import name, pack, put_image, text

from pipeline.assemble.entry import Entry
from pipeline.errors import UsageError
from pipeline.store import Store
from pipeline.store.compare import compare

SITE = "opt/app/lib/python3.11/site-packages"


def status(**versions: str) -> Entry:
    stanzas = [f"Package: {name}\nStatus: install ok installed\nVersion: {at}\n" for name, at in versions.items()]
    return text("var/lib/dpkg/status", "\n".join(stanzas))


def put(store: Store, called: str, *stack: list[Entry], known: bool = True) -> str:
    name(store, put_image(store, [pack(store, entries, known=known) for entries in stack]), called)
    return called


@pytest.mark.parametrize("known", [True, False])
def test_files_of_equal_size_are_compared_by_content(store: Store, known: bool) -> None:
    put(store, "a", [text("base", "x")], [text("same", "1"), text("moved", "m"), text("edited", "old")], known=known)
    put(store, "b", [text("base", "x")], [text("same", "1"), text("edited", "new")], [text("moved", "m")], known=known)
    found = compare(store, "a", "b")
    assert [(one.path, one.how, one.what) for one in found.files] == [("edited", "changed", ("content",))]
    assert len(found.shared) == 1
    assert found.new_size == sum(layer.new_size for layer in found.layers) > 0


def test_packages_are_read_from_their_own_records(store: Store) -> None:
    old = [status(git="1:2.39"), text(f"{SITE}/six-1.16.0.dist-info/METADATA", ""),
           text("opt/conda/conda-meta/zlib-1.2-h1_0.json", "{}")]  # fmt: skip
    new = [status(git="1:2.40", make="4"), text(f"{SITE}/six-1.17.0.dist-info/METADATA", "")]
    put(store, "a", old)
    put(store, "b", new)
    assert [(one.world, one.name, one.old, one.new) for one in compare(store, "a", "b").packages] == [
        ("apt", "git", "1:2.39", "1:2.40"),
        ("apt", "make", "", "4"),
        ("conda", "zlib", "1.2", ""),
        ("pip", "six", "1.16.0", "1.17.0"),
    ]


def test_what_a_layer_removes_is_removed(store: Store) -> None:
    put(store, "a", [text("etc/a", "x"), text("etc/b", "y")])
    put(store, "b", [text("etc/a", "x"), text("etc/b", "y")], [text("etc/.wh.a", "")])
    assert [(one.path, one.how) for one in compare(store, "a", "b").files] == [("etc/a", "removed")]


def test_an_image_is_the_same_as_itself(store: Store) -> None:
    put(store, "a", [text("etc/a", "x")])
    found = compare(store, "a", "a")
    assert (found.layers, found.files, found.packages, found.settings, found.new_size) == ((), (), (), (), 0)


def test_an_unknown_image_is_named(store: Store) -> None:
    put(store, "scoring", [text("etc/a", "x")])
    with pytest.raises(UsageError, match="'scorin'"):
        compare(store, "scoring", "scorin")
