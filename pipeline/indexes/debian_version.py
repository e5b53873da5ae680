"""Compares package versions and reads relationship fields; the only `import debian`.

Debian Policy 5.6.12 (versions) and 7.1 (relationships).
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_RELATION = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)"
    r"(?::(?P<arch>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<op><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s)]+)\s*\))?"
)
_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "<": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.ge,
    ">>": operator.gt,
}


@functools.lru_cache(maxsize=65536)
def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as `dpkg --compare-versions` orders them."""
    from debian.debian_support import NativeVersion

    if left == right:
        return 0
    try:
        a, b = NativeVersion(left), NativeVersion(right)
    except ValueError:
        # No archive holds such a version; order it as text so that the answer stays the same each time.
        return -1 if left < right else 1
    return -1 if a < b else int(a > b)


sort_key = functools.cmp_to_key(compare)


@dataclass(frozen=True, slots=True)
class Relation:
    """One name in a Depends-like field, with the versions it accepts; `arch` is its qualifier (`any`, `amd64`)."""

    name: str
    op: str = ""
    version: str = ""
    arch: str = ""

    def accepts(self, version: str) -> bool:
        """Whether a package of this version will do; an empty version never does when one is asked for."""
        if not self.op:
            return True
        return bool(version) and _OPERATORS[self.op](compare(version, self.version), 0)

    def __str__(self) -> str:
        return f"{self.name} ({self.op} {self.version})" if self.op else self.name


Group = tuple[Relation, ...]
"""Alternatives (`a | b`), any one of which will do."""


@functools.lru_cache(maxsize=65536)
def parse(field: str) -> tuple[Group, ...]:
    """A relationship field as its groups of alternatives; what cannot be read is left out."""
    groups = []
    for part in field.split(","):
        matches = [m for m in (_RELATION.match(word) for word in part.split("|")) if m]
        group = tuple(Relation(m["name"], m["op"] or "", m["version"] or "", m["arch"] or "") for m in matches)
        if group:
            groups.append(group)
    return tuple(groups)
