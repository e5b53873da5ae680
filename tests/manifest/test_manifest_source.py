"""YAML text to data: the traps closed, the bombs defused, every value with its place."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest.nodes import Node, resolve_plain
from pipeline.manifest.reader import LIMIT, decode, read_text
from pipeline.manifest.source import parse


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    return [plain(child) for child in node.value] if isinstance(node.value, list) else node.value


def error(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        parse(text, "m.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("on", "on"), ("2024-01-01", "2024-01-01"), ("22:22", "22:22"), ("0644", "0644"),
        ("1_000", "1_000"), (".inf", ".inf"), ("1e999", "1e999"), ("9" * 30, "9" * 30), ("-", "-"), ("+1", 1),
        ("0", 0), ("-12", -12), ("0o644", 0o644), ("0xff", 255), ("3.10", 3.1), ("1e3", 1000.0), (".5", 0.5),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("1.2.3", "1.2.3"), ("²", "²"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: Any) -> None:
    found = resolve_plain(text)
    assert (found, type(found)) == (value, type(value))


def test_every_value_and_key_has_its_place() -> None:
    document = parse("a:\n  - b: é c\n    d: [1, 2]\n", "m.yaml")
    assert str(document.where(("a", 0, "b"))) == "m.yaml:2:8"
    assert str(document.where_key(("a", 0, "d"))) == "m.yaml:3:5"
    assert str(document.where(("a", 0, "d", 1))) == "m.yaml:3:12"
    assert str(document.where(("a", 0, "nothing", 3))) == "m.yaml:2:5", "what is not there stands where its parent does"


def test_anchors_and_merges() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 0}, *a]}\nd: *a\n"
    assert plain(parse(text, "").root) == {
        "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 0, "y": 2}, "d": {"x": 1, "y": 2},
    }  # fmt: skip


@pytest.mark.parametrize("depth", [9, 40])
def test_bomb_is_refused_in_bounded_memory(depth: int) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    tracemalloc.start()
    try:
        assert "100,000 values, aliases expanded" in error("\n".join(lines))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_what_is_quoted_stays_on_its_line_and_moves_no_cursor() -> None:
    told = error('"a\\n\\e[2Jb": 1\n"a\\n\\e[2Jb": 2\nx: ]')
    assert "duplicate key 'a\\n\\x1b[2Jb'" in told


def test_no_more_than_fifty_problems_are_told_with_what_stopped_the_parser() -> None:
    told = error("a: 1\n" * 200 + "b: ]")
    assert told.count("duplicate key") == 49 and "m.yaml:201:4: a value is missing here" in told
    assert told.endswith("150 more errors are not shown")


def test_long_text_repeated_by_aliases_is_refused() -> None:
    assert "characters, aliases expanded" in error(f"a: &a {'x' * 500_000}\nb: [{'*a, ' * 20}]")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "&a [", "!!seq ["])
def test_deep_nesting_is_an_error(opening: str) -> None:
    assert "m.yaml:" in error("a:\n  " + opening * 20_000)


def test_errors_that_leave_the_rest_readable_are_all_kept() -> None:
    problems = parse("a: 1\na: 2\n3: x\nb: !!binary aGk=\n", "m.yaml").problems
    assert [p.location.line for p in problems] == [2, 3, 4]


def test_a_secret_value_is_not_shown_with_its_line() -> None:
    document = parse('user: me\npassword: "hun\\\n  ter2"\n', "m.yaml")
    document.hide(("password",))
    for line in (2, 3):
        for column in (1, 12):
            place = document.where(("password",))
            shown = str(document.diagnose(type(place)("m.yaml", line, column), "wrong"))
            assert "hun" not in shown
            assert "ter2" not in shown


def test_byte_order_mark_and_line_ends() -> None:
    document = parse(decode(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "m.yaml"), "m.yaml")
    assert str(document.where(("b",))) == "m.yaml:2:4"
    assert document.lines[0] == "a: 1"


def test_files_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(100 << 20)
    (tmp_path / "prod.yaml").touch()
    expected = {
        "fifo": "is a named pipe",
        ".": "is a folder",
        "big.yaml": f"is {100 << 20:,} bytes long (at most {LIMIT:,}",
        "prod.yml": "no such file (did you mean 'prod.yaml'?)",
        "none/prod.yaml": "no such file",
        "loop.yaml": "cannot be read",
        "prod.yaml/x": "cannot be read",
    }
    for name, words in expected.items():
        with pytest.raises(ManifestError) as caught:
            read_text(tmp_path / name)
        assert words in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").touch(mode=0)
    with pytest.raises(ManifestError, match="cannot be read: Permission denied"):
        read_text(tmp_path / "m.yaml")


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200), st.text(alphabet="ab:-[]{}&*!|>'\"#%@`?,\n\t 10.~<=$", max_size=60).map(str.encode)
    )
)
def test_any_bytes_give_a_tree_or_an_error(data: bytes) -> None:
    try:
        document = parse(decode(data, "m.yaml"), "m.yaml")
    except ManifestError as caught:
        assert caught.diagnostics
    else:
        assert isinstance(plain(document.root), dict)
