"""`pipeline image files`: what files an image holds."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import IMAGE_HELP, machine, platform_option, store_of
from pipeline.facts import Platform

if TYPE_CHECKING:
    from pipeline.store.members import Member

EXAMPLES = """
pipeline image files scoring                     all, as a container sees them
pipeline image files scoring /etc '*.so'         a folder, and every shared library
pipeline image files scoring --layer 4 -l        what one layer brings, with modes, owners and sizes
"""
_HELP = f"{IMAGE_HELP}\nPATTERN: a path, a folder with all below it, or a glob; when left out, everything"
_TYPES = {
    "file": stat.S_IFREG,
    "hardlink": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}


@command_(arguments=_HELP, examples=EXAMPLES)
@click.argument("image")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("-l", "--long", "detailed", is_flag=True, help="Show layer, mode, owner and size as well.")
@click.option("--layer", metavar="N", default="", help="Only what this layer brings: its number or digest.")
@platform_option
@output_option
@click.pass_obj
def command(
    shell: Shell, image: str, patterns: tuple[str, ...], detailed: bool, layer: str, platform: Platform | None
) -> int:
    """List the files of an image. Exits with 1 when no file matches."""
    from pipeline.store.inspect import files

    found = files(store_of(shell), image, patterns, platform=platform, machine=machine(), layer=layer)
    if shell.json:
        shell.value([member.to_json() for member in found])
    elif detailed:
        from pipeline.reporters.lines import table

        for line in table(map(_row, found), right={0, 3}):
            shell.line(line)
    else:
        for member in found:
            shell.line(_path(member))
    return 0 if found or not patterns else 1


def _row(member: Member) -> list[str]:
    mode = stat.filemode(_TYPES.get(member.type, 0) | member.mode)
    return [str(member.layer), mode, f"{member.uid}:{member.gid}", str(member.size), _path(member)]


def _path(member: Member) -> str:
    return f"/{member.path}" + (f" → {member.link}" if member.type == "symlink" else "")
