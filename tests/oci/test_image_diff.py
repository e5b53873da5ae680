"""What tells two images apart, from what they hold."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.digest import digest_of
from pipeline.oci.descriptor import LAYER_ZSTD, Descriptor, Layer
from pipeline.oci.image_diff import Change, FileChange, LayerChange, changes, files, layers, maker, packages, settings


@dataclass(frozen=True)
class Member:
    type: str = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 1
    link: str = ""
    layer: int = 1


def layer(content: str, words: str = "", size: int = 10) -> Layer:
    digest = digest_of(content.encode())
    return Layer(Descriptor(LAYER_ZSTD, digest, size), digest, words)


def test_files_are_added_removed_or_changed_in_what_they_differ() -> None:
    old = {
        "a": Member(),
        "b": Member(),
        "c": Member(mode=0o755, uid=1),
        "d": Member(type="symlink", link="a"),
        "e": Member(size=5, layer=2),
        "gone": Member(size=7),
        "kept": Member(),
        "lib": Member(type="dir", mode=0o755),
        "old": Member(type="dir"),
    }
    new = {
        "a": Member(),
        "b": Member(size=2),
        "c": Member(),
        "d": Member(type="symlink", link="b"),
        "e": Member(type="dir", size=0),
        "kept": Member(layer=4),
        "lib": Member(type="dir", mode=0o700),
        "more": Member(size=3, layer=2),
        "new": Member(type="dir"),
    }
    assert list(files(old, new, lambda path: path != "a")) == [
        FileChange("a", "changed", 1, 1, ("content",), 1, 1),
        FileChange("b", "changed", 1, 2, ("content",), 1, 1),
        FileChange("c", "changed", 1, 1, ("mode", "owner"), 1, 1),
        FileChange("d", "changed", 1, 1, ("link",), 1, 1),
        FileChange("e", "changed", 5, 0, ("type",), 2, 1),
        FileChange("gone", "removed", old_size=7, old_layer=1),
        FileChange("lib", "changed", 1, 1, ("mode",), 1, 1),
        FileChange("more", "added", new_size=3, new_layer=2),
    ]


def test_layers_of_the_same_words_are_one_that_changed_and_shared_ones_are_left_out() -> None:
    base, code, other = layer("base"), layer("1", "pipeline: layer code, 2 files"), layer("x", "RUN make", 5)
    edited, more = layer("2", "pipeline: layer code, 3 files", 12), layer("y", "COPY . /", 7)
    changed = [FileChange("s", "changed", 1, 1, ("content",), 2, 2), FileChange("g", "removed", 1, 0, (), 2)]
    assert list(layers([base, code, other], [base, edited, more], changed)) == [
        LayerChange("changed", "layer code", code.blob.digest, edited.blob.digest, 10, 12, 0, 1, 1),
        LayerChange("added", "COPY . /", "", more.blob.digest, 0, 7),
        LayerChange("removed", "RUN make", other.blob.digest, "", 5, 0),
    ]


def test_layers_without_a_history_are_not_taken_for_one_another() -> None:
    assert [one.how for one in layers([layer("1")], [layer("2")], [])] == ["added", "removed"]


def test_packages_differ_by_world_and_name() -> None:
    old = {("apt", "git"): "1", ("pip", "numpy"): "2.0", ("pip", "six"): "1.16"}
    new = {("pip", "git"): "1", ("pip", "numpy"): "2.1", ("pip", "six"): "1.16"}
    found = packages(old, new)
    assert found == (
        Change("git", "1", "", "apt"),
        Change("git", "", "1", "pip"),
        Change("numpy", "2.0", "2.1", "pip"),
    )
    assert [one.how for one in found] == ["removed", "added", "changed"]


def test_settings_differ_variable_by_variable() -> None:
    old = settings({"Env": ["A=1", "B=x=y"], "Labels": {"team": "a"}, "User": "1000", "Cmd": None})
    new = settings({"Env": ["A=2", "B=x=y"], "ExposedPorts": {"5001/tcp": {}}, "Cmd": ["a", "b"]})
    assert [(one.name, one.old, one.new) for one in changes(old, new)] == [
        ("Cmd", "", "a b"),
        ("ExposedPorts", "", "5001/tcp"),
        ("User", "1000", ""),
        ("env A", "1", "2"),
        ("label team", "a", ""),
    ]


def test_a_layer_is_named_by_what_made_it() -> None:
    assert maker("pipeline: layer science/numpy, pip, numpy") == "layer science/numpy"
    assert maker("RUN apt-get install a, b") == "RUN apt-get install a, b"
