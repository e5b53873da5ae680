"""Commands read out of maintainer scripts."""

from __future__ import annotations

import pytest

from pipeline.assemble.deb_shell import UNKNOWN, commands


def words(script: str, **variables: str) -> list[list[str]]:
    return list(commands("#!/bin/sh\n" + script, variables))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a b \\\n  c", [["a", "b", "c"]]),
        ("a 'x y' \"z w\" q\\ r", [["a", "x y", "z w", "q r"]]),
        ("a; b && c || d | e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("# a\nb # c\nd#e", [["b"], ["d#e"]]),
        ('v=1\na $v ${v}0 "$v"', [["a", "1", "10", "1"]]),
        ("v='--slave a b'\na $v", [["a", "--slave", "a", "b"]]),
        ("a ${none:-default}", [["a", "default"]]),
        ("a $none", [["a", UNKNOWN]]),
        ("a $(echo x) `echo y`", [["a", UNKNOWN, UNKNOWN]]),
        ('if [ "$1" = configure ]; then\n a\nfi', [["[", UNKNOWN, "=", "configure", "]"], ["a"]]),
        ("case x in\n configure) a b;;\n *) c;;\nesac", [["a", "b"], ["c"], ["esac"]]),
        ("for i in x y; do a $i; done; b", [["a", "x"], ["a", "y"], ["b"]]),
        ("for i in 1 2; do for j in 3; do a $i$j; done; done", [["a", "13"], ["a", "23"]]),
        ("cat <<EOF\nnot a command\nEOF\na", [["cat", "<<EOF"], ["a"]]),
    ],
)
def test_commands(script: str, expected: list[list[str]]) -> None:
    assert words(script) == expected


def test_variables_that_are_known_beforehand() -> None:
    assert words('a "$DPKG_ROOT/x"', DPKG_ROOT="") == [["a", "/x"]]


def test_scripts_of_other_languages_have_none() -> None:
    assert list(commands("#!/usr/bin/perl\nsystem('a');\n")) == []
    assert list(commands("")) == []


@pytest.mark.parametrize(
    "script", ["'", '"', "$(", "`", "for", "for x in", "done", "case", "\\", "a )", "${", "<<", "((()))"]
)
def test_what_is_no_shell_ends_all_the_same(script: str) -> None:
    words(script)
