# ruff: noqa: E501
"""Debs and wheels that no honest tool makes, each given to its packer as a layer would."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

from debmaker import COMPRESS
from evil_tars import Chance, broken, member, tar
from fuzz_texts import SNIPPETS

from pipeline.assemble import deb as deb_packer
from pipeline.assemble import frame_layer
from pipeline.assemble.frame import Framed
from pipeline.assemble.frame_cache import FrameCache
from pipeline.assemble.wheel import frames as wheel_frames
from pipeline.assemble.work import Work
from pipeline.facts import Facts
from pipeline.recipe import Assemble
from pipeline.store.blobs import Blobs

SITE = "usr/local/lib/python3.11/dist-packages"
ALPHA = "alpha-1.0-py3-none-any.whl"


def deb(chance: Chance, folder: Path, outside: str) -> None:
    """Packs a .deb that is malformed somewhere."""
    _fresh(folder)
    path = folder / "a.deb"
    path.write_bytes(_deb(chance, outside))
    package = {"name": "a", "file": "pool/a.deb", "sha256": "", "size": 1000}
    inputs = {
        "distribution": "debian",
        "suite": "bookworm",
        "release": "12",
        "architecture": "amd64",
        "packages": [package],
    }
    indexes = SimpleNamespace(debian=SimpleNamespace(fetch=lambda *_: [path]))
    work = Work(folder, indexes, folder / "scratch", Facts(), list, lambda _: None)
    _pack(deb_packer.frames(Assemble("deb", inputs), work), folder)


def _deb(chance: Chance, outside: str) -> bytes:
    control = [member(b"./control", _control(chance)), member(b"./md5sums", b"garbage\n\xff  usr/bin/x\n")]
    control += [member(b"./conffiles", b"/etc/os-release\n../x\n"), member(b"./postinst", _script(chance))]
    whole = b"".join(control) + bytes(1024) if chance.random() < 0.7 else tar(chance, outside, control)
    kind = chance.choice(list(COMPRESS))
    parts = {
        "debian-binary": b"2.0\n",
        f"control.tar{kind}": broken(COMPRESS[kind](whole), chance, often=0.1),
        f"data.tar{kind}": broken(COMPRESS[kind](tar(chance, outside)), chance, often=0.1),
    }
    if chance.random() < 0.1:
        del parts[chance.choice(list(parts))]
    out = chance.choice([b"!<arch>\n"] * 20 + [b"", b"!<thin>\n"])
    for part, data in parts.items():
        size = str(len(data)) if chance.random() < 0.95 else chance.choice(["9999999999", "-5", "x", "", "²", "0"])
        name = part if chance.random() < 0.97 else chance.choice(["", "/", "data.tar.zip", "é", "control.tar.gz/"])
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{size:<10}`\n"
        out += head.encode("latin-1", "replace") + data + b"\n" * (len(data) % 2)
    return broken(out, chance, often=0.15)


def _control(chance: Chance) -> bytes:
    lines = [
        "Package: a",
        "Version: 1",
        "Architecture: amd64",
        "Description: x",
        " more",
        "Replaces: b (<< 1), a, (, :any",
    ]
    for _ in range(chance.choice([0, 0, 1, 2])):
        lines.insert(
            chance.randint(0, len(lines)),
            chance.choice([*SNIPPETS, "Package", ":", "Version: ../../x", "Package: ../x"]),
        )
    return "\n".join(lines).encode("utf-8", "replace") + b"\n"


def _script(chance: Chance) -> bytes:
    lines = [
        "#!/bin/sh", "update-alternatives --install /usr/bin/x x ../../etc/passwd 10", "adduser --system --home / 'a", "if [", "fi",
        "update-alternatives --install x", "useradd -u 99999999999 $(id)", "case $1 in", ")", "`", "addgroup --gid x y", "\\", "${",
        "update-alternatives --install /usr/bin/y y /usr/bin/python3 x", "adduser --uid -1 --system b", "\x00",
    ]  # fmt: skip
    return "\n".join(chance.sample(lines, chance.randint(0, 6))).encode() + b"\n"


def wheel(chance: Chance, folder: Path) -> None:
    """Packs a wheel that is malformed somewhere, as uv would have unpacked it: what would lie outside is not there."""
    _fresh(folder)
    place, info = folder / "wheel", "alpha-1.0.dist-info"
    files = {
        "alpha/__init__.py": b"x = 1\n",
        f"{info}/METADATA": b"Name: alpha\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\n",
        f"{info}/RECORD": _record(chance),
        f"{info}/entry_points.txt": _points(chance),
        "alpha-1.0.data/scripts/tool": b"#!python\n",
    }
    for _ in range(chance.choice([0, 1, 2])):
        files[chance.choice(_NAMES)] = b"evil"
    for name, data in files.items():
        if chance.random() < 0.04:
            continue
        path = place / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(broken(data, chance, often=0.05))
        except OSError:
            continue  # A folder where the other has a file.
    if chance.random() < 0.1:
        (place / "link").symlink_to(chance.choice(["/etc/passwd", "..", "link"]))
    inputs = {"wheels": [[ALPHA, "00"]], "python": "3.11", "platform": "manylinux_2_36_x86_64", "prefix": "/usr/local"}
    recipe = Assemble("wheel", {**inputs, "site": f"/{SITE}", "executable": "/usr/bin/python3"})
    indexes = SimpleNamespace(files=None, pypi=SimpleNamespace(unpacked=lambda *_, **__: {ALPHA: place}))
    work = Work(folder, indexes, folder / "scratch", Facts(), list, lambda _: None)
    _pack(wheel_frames(recipe, work), folder)


_NAMES = [
    "alpha-1.0.data/purelib/../../x", "alpha-1.0.data/unknown/x", "alpha-1.0.data/x", "alpha-1.0.data/headers/a.h", "beta-2.dist-info/RECORD",
    "alpha-1.0.data/data/etc/x", "a\nb.py", "é.py", "\udcff.py", "alpha/__pycache__/x.pyc", "alpha-1.0.dist-info/RECORD.jws", "a,b\".py",
    "alpha-1.0.data/scripts/a/b", "alpha-1.0.data/data/bin/tool", "alpha-1.0.data/purelib/alpha/__init__.py", "-", "a" * 250, "INSTALLER",
]  # fmt: skip


def _record(chance: Chance) -> bytes:
    rows = [
        b"alpha/__init__.py,sha256=AAAA,6", b"alpha/__init__.py,sha256=,x", b"alpha/__init__.py,md5=x,", b"alpha/__init__.py,,-1", b"../../x,,",
        b"\xff,,", b'"unclosed', b"a,b,c,d,e", b"", b"alpha/__init__.py,sha256=AAAA," + b"9" * 5000, b"x\0y,,", b"/etc/passwd,,", b"," * 300,
        b"alpha/__init__.py,sha256=AAAA,\xc2\xb2", b"alpha/__init__.py,sha256=AAAA,1.5", b'"' + b"f" * 200_000 + b'",,',
    ]  # fmt: skip
    return b"\n".join(chance.sample(rows, chance.randint(0, 4))) + b"\n"


def _points(chance: Chance) -> bytes:
    lines = [
        b"[console_scripts]", b"tool = alpha:main", b"../../x = alpha:main", b"a/b = alpha:main", b"t = alpha", b"t = :", b"t = a b:c", b"t",
        b"= x:y", b"t = alpha:main [extra]", b"[gui_scripts]", b"[", b"t = os:system('id')", b"t = alpha:x.y.z", b"\xff = a:b", b" continued",
        b"n\0 = a:b", b"[console_scripts]", b"[DEFAULT]", b"%(x)s = a:b", b"t = %(x)s:b", b".. = a:b", b"\xc3\xa9 = a:b",
    ]  # fmt: skip
    return b"\n".join(chance.sample(lines, chance.randint(0, 5))) + b"\n"


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "scratch").mkdir(parents=True)


def _pack(framed: Framed, folder: Path) -> None:
    frame_layer.write(framed, Blobs(folder / "blobs", folder / "scratch"), FrameCache(folder / "frames"))
