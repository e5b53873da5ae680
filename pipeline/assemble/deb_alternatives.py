"""The alternatives that maintainer scripts register: links, and the files that update-alternatives keeps.

update-alternatives(1), and its administrative files as dpkg's utils/update-alternatives.c writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.assemble.deb_archive import Deb
from pipeline.assemble.deb_shell import commands
from pipeline.assemble.deb_tree import Tree
from pipeline.assemble.entry import Entry

ADMIN = "var/lib/dpkg/alternatives"
ETC = "etc/alternatives"


@dataclass
class Choice:
    """One program that can stand for a name: its priority, and the paths of its slaves by their names."""

    path: str
    priority: int
    slaves: dict[str, str] = field(default_factory=dict)


@dataclass
class Alternative:
    """A name, the link that leads to the choice, its slaves' links, and the choices by path."""

    name: str
    link: str
    slaves: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)

    def best(self) -> Choice:
        """The choice of the automatic mode: the highest priority, of equals the first by path."""
        return min(self.choices.values(), key=lambda c: (-c.priority, c.path))

    def admin(self) -> str:
        """The administrative file in automatic mode."""
        lines = ["auto", self.link]
        for name, link in sorted(self.slaves.items()):
            lines += [name, link]
        lines.append("")
        for choice in sorted(self.choices.values(), key=lambda c: c.path):
            lines += [choice.path, str(choice.priority)]
            lines += [choice.slaves.get(name, "") for name in sorted(self.slaves)]
        return "\n".join([*lines, ""]) + "\n"


def registered(debs: Mapping[str, Iterable[list[str]]]) -> Iterator[tuple[Alternative, Choice]]:
    """What commands (by package) register with `update-alternatives --install`."""
    for each in debs.values():
        for words in each:
            if words[0].rpartition("/")[2] == "update-alternatives":
                yield from _install(words[1:])


def _install(words: list[str]) -> Iterator[tuple[Alternative, Choice]]:
    """`--install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]…`, as update-alternatives reads it."""
    if "--install" not in words:
        return
    at = words.index("--install")
    try:
        link, name, path, priority = words[at + 1 : at + 5]
        alternative, choice = Alternative(name, link), Choice(path, int(priority))
    except ValueError:
        return
    for index, word in enumerate(words):
        if word == "--slave" and len(slave := words[index + 1 : index + 4]) == 3:
            alternative.slaves[slave[1]] = slave[0]
            choice.slaves[slave[1]] = slave[2]
    yield alternative, choice


def script_commands(deb: Deb) -> list[list[str]]:
    """The commands of a package's postinst that a fresh installation would come to."""
    variables = {"DPKG_ROOT": "", "DPKG_MAINTSCRIPT_PACKAGE": deb.name, "1": "configure", "2": ""}
    return list(commands(deb.text("postinst"), variables))


def parse_admin(name: str, text: str) -> Alternative:
    """An administrative file back as what it says."""
    lines = iter(text.split("\n"))
    next(lines, "")
    alternative = Alternative(name, next(lines, ""))
    for slave in lines:
        if not slave:
            break
        alternative.slaves[slave] = next(lines, "")
    for path in lines:
        if not path:
            break
        choice = Choice(path, int(next(lines, "0") or 0))
        for slave in sorted(alternative.slaves):
            if value := next(lines, ""):
                choice.slaves[slave] = value
        alternative.choices[path] = choice
    return alternative


def alternatives(debs: Mapping[str, Iterable[list[str]]], tree: Tree) -> Iterator[Entry]:
    """Links and administrative files for all that is registered and there."""
    groups: dict[str, Alternative] = {}
    for alternative, choice in registered(debs):
        if tree.target(choice.path) is None:
            continue
        name = alternative.name
        if name not in groups:
            below = tree.below.read(f"{ADMIN}/{name}").decode("utf-8", "replace")
            groups[name] = parse_admin(name, below) if below else Alternative(name, alternative.link)
        groups[name].slaves.update(alternative.slaves)
        groups[name].choices[choice.path] = choice
    for _, group in sorted(groups.items()):
        yield from _links(group, tree)
        text = group.admin().encode()
        yield from tree.place(Entry(f"{ADMIN}/{group.name}", source=text, size=len(text)))


def _links(group: Alternative, tree: Tree) -> Iterator[Entry]:
    best = group.best()
    wanted = [(group.name, group.link, best.path)]
    wanted += [(name, link, best.slaves[name]) for name, link in sorted(group.slaves.items()) if name in best.slaves]
    for name, link, path in wanted:
        # As update-alternatives does: slaves that are not there, and places that hold a real file, are passed over.
        if tree.target(path) is None:
            continue
        yield from tree.place(Entry(link.lstrip("/"), "symlink", 0o777, link=f"/{ETC}/{name}"))
        yield from tree.place(Entry(f"{ETC}/{name}", "symlink", 0o777, link=path))
