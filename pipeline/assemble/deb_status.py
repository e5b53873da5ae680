"""dpkg's database as an installation would have left it: for scanners, and for apt and dpkg in layers above.

Formats: dpkg's lib/dpkg/dump.c (status), deb-conffiles(5), deb-triggers(5), dpkg's lib/dpkg/db-fsys-files.c (lists).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.assemble.deb_archive import Deb
from pipeline.assemble.deb_tree import Tree
from pipeline.assemble.entry import Entry

ADMIN = "var/lib/dpkg"
_FOLDERS = ("info", "parts", "triggers", "updates", "alternatives")
_KEPT = (
    "preinst",
    "postinst",
    "prerm",
    "postrm",
    "config",
    "templates",
    "triggers",
    "shlibs",
    "symbols",
    "md5sums",
    "conffiles",
)


@dataclass
class Installed:
    """What is remembered of a package once it is unpacked: control files, paths as in its tar, conffiles' MD5."""

    name: str
    control: Mapping[str, bytes]
    fields: Mapping[str, str]
    paths: list[str] = field(default_factory=list)
    md5: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(deb: Deb) -> Installed:
        return Installed(deb.name, deb.control, deb.fields)

    @property
    def info_name(self) -> str:
        """`libc6:amd64` for what can be there for several architectures at once."""
        same = self.fields.get("Multi-Arch") == "same"
        return f"{self.name}:{self.fields.get('Architecture', '')}" if same else self.name

    def conffiles(self) -> list[str]:
        """Their absolute paths; lines with a flag (`remove-on-upgrade /path`) name none that is there."""
        lines = self.control.get("conffiles", b"").decode("utf-8", "replace").splitlines()
        return [line.strip() for line in lines if line.startswith("/")]

    def stanza(self) -> str:
        """Its paragraph of the status file."""
        text = self.control["control"].decode("utf-8", "replace").strip("\n")
        lines = [line for line in text.split("\n") if line and not line.startswith(("Package:", "Status:"))]
        at = next((i for i, line in enumerate(lines) if line.startswith("Description:")), len(lines))
        conffiles = [f" {path} {self.md5[path]}" for path in self.conffiles() if path in self.md5]
        if conffiles:
            lines[at:at] = ["Conffiles:", *conffiles]
        return "\n".join([f"Package: {self.name}", "Status: install ok installed", *lines]) + "\n"


def database(packages: Sequence[Installed], tree: Tree) -> Iterator[Entry]:
    """The database with `packages` (by name) added to what the layers below have."""
    for folder in _FOLDERS:
        yield from tree.place(Entry(f"{ADMIN}/{folder}", "dir", 0o755))
    yield from _file(tree, f"{ADMIN}/status", _status(packages, tree))
    if not tree.below.find(f"{ADMIN}/available"):
        yield from _file(tree, f"{ADMIN}/available", "")
    yield from _file(tree, f"{ADMIN}/info/format", "1\n")
    for package in packages:
        lines = ["/.", *(f"/{path}" for path in package.paths)]
        yield from _file(tree, f"{ADMIN}/info/{package.info_name}.list", "\n".join(lines) + "\n")
        for name in _KEPT:
            if (data := package.control.get(name)) is not None:
                script = name in _KEPT[:5]
                path = f"{ADMIN}/info/{package.info_name}.{name}"
                yield from tree.place(Entry(path, "file", 0o755 if script else 0o644, source=data, size=len(data)))
    for path, text in sorted(_triggers(packages, tree).items()):
        yield from _file(tree, path, text)
    if any(p.name == "dash" for p in packages):
        # What dash's postinst declares by way of shell functions (bookworm and before).
        text = (
            "/bin/sh\n/bin/sh.distrib\ndash\n/usr/share/man/man1/sh.1.gz\n/usr/share/man/man1/sh.distrib.1.gz\ndash\n"
        )
        if "dpkg-divert" in next(p.control.get("postinst", b"") for p in packages if p.name == "dash").decode(
            "latin-1"
        ):
            yield from _file(tree, f"{ADMIN}/diversions", text)


def _file(tree: Tree, path: str, text: str) -> Iterator[Entry]:
    data = text.encode()
    yield from tree.place(Entry(path, source=data, size=len(data)))


def _status(packages: Sequence[Installed], tree: Tree) -> str:
    stanzas = {}
    for text in tree.below.read(f"{ADMIN}/status").decode("utf-8", "replace").split("\n\n"):
        if text.strip():
            name = text.lstrip().partition("\n")[0].removeprefix("Package:").strip()
            stanzas[name] = text.strip("\n") + "\n"
    stanzas.update({package.name: package.stanza() for package in packages})
    return "".join(f"{stanza}\n" for _, stanza in sorted(stanzas.items()))


def _triggers(packages: Sequence[Installed], tree: Tree) -> dict[str, str]:
    """`triggers/File` for paths and `triggers/NAME` for named ones: who is interested in each."""
    found: dict[str, list[str]] = {}
    for package in packages:
        for line in package.control.get("triggers", b"").decode("utf-8", "replace").splitlines():
            words = line.partition("#")[0].split()
            if len(words) != 2 or not words[0].startswith("interest"):
                continue
            who = package.info_name + ("/noawait" if words[0].endswith("noawait") else "")
            path = words[1].startswith("/")
            name = f"{ADMIN}/triggers/{'File' if path else words[1]}"
            found.setdefault(name, []).append(f"{words[1]} {who}" if path else who)
    texts = {}
    for name, lines in found.items():
        below = tree.below.read(name).decode("utf-8", "replace").splitlines()
        texts[name] = "".join(f"{line}\n" for line in dict.fromkeys([*below, *lines]))
    return texts
