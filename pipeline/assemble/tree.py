"""Packer `tree`: files of the project as entries."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.assemble.entry import Entry
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.recipe import Assemble


def entries(recipe: Assemble, work: Work) -> Iterator[Entry]:
    """The members that `recipe.inputs` lists, read from where `recipe.sources` says."""
    for member in recipe.inputs["members"]:
        path, uid, gid = member["path"], member["uid"], member["gid"]
        if "dir" in member:
            yield Entry(path, "dir", 0o755, uid, gid)
        elif "link" in member:
            yield Entry(path, "symlink", 0o777, uid, gid, link=member["link"])
        else:
            source = work.indexes.files.path(recipe.sources[path])
            digest, _ = work.indexes.files.digest(recipe.sources[path])
            if digest != member["digest"]:
                raise AssembleError(f"{source} has changed since the build began", remedy="run again")
            yield Entry(path, "file", member["mode"], uid, gid, source=source, size=member["size"])
