"""A binary package index (`Packages`), opened fast: stanzas are found by position and parsed when asked for.

Format: Debian repository format, "Packages" indices (wiki.debian.org/DebianRepository/Format); Debian Policy 5.1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.dpkg import stanza
from pipeline.indexes.debian_version import Group, parse, sort_key

# A literal start lets the regular expression engine skip ahead as memmem does: ten times faster than `^` here.
_PROVIDES = re.compile(rb"\nProvides: ([^\n]*)")
_PROVIDED = re.compile(rb"([a-z0-9][a-z0-9+.-]*)(?::any)?\s*(?:\(\s*=\s*[^\s)]+\s*\))?\s*(?:,|$)")


@dataclass(frozen=True)
class Package:
    """One version of a package; `archive` tells its mirror (`main`, `security`), `fields` is its stanza."""

    name: str
    version: str
    archive: str
    fields: Mapping[str, str] = field(compare=False, hash=False)

    def relations(self, name: str) -> tuple[Group, ...]:
        """A relationship field, such as `Depends`, parsed."""
        return parse(self.fields.get(name, ""))

    @cached_property
    def depends(self) -> tuple[Group, ...]:
        return self.relations("Pre-Depends") + self.relations("Depends")

    @cached_property
    def provides(self) -> Mapping[str, str]:
        """Virtual names to the version provided (empty when unversioned)."""
        return {g[0].name: g[0].version for g in self.relations("Provides")}

    @cached_property
    def conflicts(self) -> tuple[Group, ...]:
        return self.relations("Conflicts") + self.relations("Breaks")

    @property
    def priority(self) -> str:
        return self.fields.get("Priority", "optional")

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class PackageFile:
    """One `Packages` file: names and virtual names to stanzas, by their offsets."""

    def __init__(self, data: bytes, archive: str, is_automatic: bool = True) -> None:
        self.is_automatic = is_automatic
        self._data = data
        self._archive = archive
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.names: dict[str, list[int]] = {}
        self.virtual: dict[str, list[int]] = {}
        self._parsed: dict[int, Package] = {}
        self._scan()

    def _scan(self) -> None:
        data, names, position, size = self._data, self.names, 0, len(self._data)
        while position < size:
            end = data.find(b"\n\n", position)
            end = size if end < 0 else end
            at = position if data.startswith(b"Package: ", position) else data.find(b"\nPackage: ", position, end) + 1
            if data.startswith(b"Package: ", at) and position <= at < end:
                stop = data.find(b"\n", at, end)
                name = data[at + 9 : stop if stop >= 0 else end].strip().decode()
                names.setdefault(name, []).append(len(self._starts))
                self._starts.append(position)
                self._ends.append(end)
            position = end + 2
        for match in _PROVIDES.finditer(data):
            index = bisect_right(self._starts, match.start()) - 1
            for name in _PROVIDED.findall(match[1]):
                self.virtual.setdefault(name.decode(), []).append(index)

    def package(self, index: int) -> Package:
        if index not in self._parsed:
            text = self._data[self._starts[index] : self._ends[index]].decode("utf-8", "replace")
            fields = stanza(text)
            self._parsed[index] = Package(fields["Package"], fields.get("Version", ""), self._archive, fields)
        return self._parsed[index]

    def essential(self) -> list[str]:
        """The names of packages marked `Essential: yes`."""
        found = []
        position = self._data.find(b"\nEssential: yes")
        while position >= 0:
            found.append(self.package(bisect_right(self._starts, position) - 1).name)
            position = self._data.find(b"\nEssential: yes", position + 1)
        return found


class Universe:
    """Every package of several indexes together, highest versions first. `describe` names them in messages.

    `more` are packages that no index lists. Versions of archives that are not automatic come last: they are for whoever
    asks for them (apt_preferences(5)).
    """

    def __init__(self, files: Sequence[PackageFile], describe: str, more: Sequence[Package] = ()) -> None:
        self._files = files
        self._more = more
        self.describe = describe
        self._versions: dict[str, list[Package]] = {}

    def versions(self, name: str) -> list[Package]:
        """The versions of a real package, best first; of equal ones the first index's."""
        if name not in self._versions:
            found: dict[str, tuple[bool, Package]] = {}
            for file in sorted(self._files, key=lambda file: not file.is_automatic):
                for index in file.names.get(name, ()):
                    package = file.package(index)
                    found.setdefault(package.version, (file.is_automatic, package))
            for package in self._more:
                if package.name == name:
                    found.setdefault(package.version, (True, package))
            best = sorted(found.values(), key=lambda each: (each[0], sort_key(each[1].version)), reverse=True)
            self._versions[name] = [package for _, package in best]
        return self._versions[name]

    def listed(self, name: str, version: str) -> list[Package]:
        """One version of a package in each index that lists it."""
        all_ = (file.package(index) for file in self._files for index in file.names.get(name, ()))
        return [package for package in all_ if package.version == version]

    def with_more(self, packages: Sequence[Package]) -> Universe:
        """The same with packages that no index lists."""
        return Universe(self._files, self.describe, packages) if packages else self

    def providers(self, name: str) -> list[Package]:
        """The packages that provide a virtual name, the most important and then the first by name leading."""
        names = {file.package(i).name for file in self._files for i in file.virtual.get(name, ())}
        names |= {package.name for package in self._more if name in package.provides}
        order = {"required": 0, "important": 1, "standard": 2, "optional": 3}
        found = [p for n in names for p in self.versions(n) if name in p.provides]
        found.sort(key=lambda p: sort_key(p.version), reverse=True)
        return sorted(found, key=lambda p: (order.get(p.priority, 4), p.name))

    def names(self) -> set[str]:
        return {name for file in self._files for name in file.names}

    def essential(self) -> list[str]:
        return sorted({name for file in self._files for name in file.essential()})
