"""Locked packages in the standard formats: pylock.toml (PEP 751), a requirements file with hashes, and conda's
explicit list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline import __version__
from pipeline.errors import ResolveError

Package = Mapping[str, Any]


def pylock(packages: Iterable[Package], places: Mapping[str, str], python: str, machine: str) -> str:
    """A pylock.toml (packaging.python.org, "pylock.toml Specification", 1.0) of one Python and machine, as Linux.

    `places` maps each file's name to its address, or to its path relative to where the text will be.
    """
    marker = f"sys_platform == 'linux' and platform_machine == '{machine}'"
    lines = [
        'lock-version = "1.0"',
        f"environments = [{_toml(marker)}]",
        f'requires-python = "=={python}.*"',
        f'created-by = "pipeline {__version__}"',
    ]
    for package in sorted(packages, key=lambda each: (str(each["name"]), str(each["file"]))):
        lines += ["", "[[packages]]", f"name = {_toml(package['name'])}", f"version = {_toml(package['version'])}"]
        lines.append(_file(package, places[package["file"]]))
    return "\n".join(lines) + "\n"


def _file(package: Package, place: str) -> str:
    """A wheel or a source distribution as an inline table."""
    parts = [f"name = {_toml(package['file'])}", f"{'url' if '://' in place else 'path'} = {_toml(place)}"]
    parts += [f"size = {package['size']}"] if package.get("size") else []
    parts.append(f"hashes = {{sha256 = {_toml(package['sha256'])}}}")
    table = f"{{{', '.join(parts)}}}"
    return f"wheels = [{table}]" if package["file"].endswith(".whl") else f"sdist = {table}"


def _toml(text: str) -> str:
    """A basic string: what JSON escapes, TOML 1.0 reads alike."""
    return json.dumps(text, ensure_ascii=False)


def requirements(packages: Iterable[Package], direct: Mapping[str, str], python: str, platform: str) -> str:
    """A requirements file with hashes, for `pip install --require-hashes --no-deps`.

    `direct` has the address of each package that was asked for by its address.
    """
    lines = [f"# For Python {python} on {platform}; made by pipeline {__version__} from its lock."]
    for package in sorted(packages, key=lambda each: str(each["name"])):
        name = str(package["name"])
        what = f"{name} @ {direct[name]}" if name in direct else f"{name}=={package['version']}"
        lines += [f"{what} \\", f"    --hash=sha256:{package['sha256']}"]
    return "\n".join(lines) + "\n"


def explicit(packages: Sequence[Package], addresses: Sequence[str], subdir: str, wheels: int) -> str:
    """A list for `conda create --file` (conda documentation, "Building identical conda environments").

    Packages come after what they depend on, for installers that keep the order. `wheels` is how many there are beside.
    """
    lines = [f"# For {subdir}; made by pipeline {__version__} from its lock.", f"# platform: {subdir}"]
    count = f"{wheels} package{'s' * (wheels != 1)}"
    lines += [f"# {count} of pip on top of these: export them as pylock or requirements."] if wheels else []
    place = {package["name"]: address for package, address in zip(packages, addresses, strict=True)}
    return (
        "\n".join([*lines, "@EXPLICIT", *(f"{place[each['name']]}#{_sum(each)}" for each in _ordered(packages))]) + "\n"
    )


def _sum(package: Package) -> str:
    return str(package.get("md5") or package["sha256"])


def _ordered(packages: Sequence[Package]) -> list[Package]:
    from graphlib import CycleError, TopologicalSorter

    known = {package["name"]: package for package in packages}
    needs = {name: {need.split()[0] for need in known[name].get("depends", ())} & {*known} for name in sorted(known)}
    try:
        return [known[name] for name in TopologicalSorter(needs).static_order()]
    except CycleError:
        return [known[name] for name in sorted(known)]


def file_name(form: str, layer: str, words: Sequence[str]) -> str:
    """What a file of one of several is called; a name of a pylock holds no dot (PEP 751, "File Name")."""
    name = re.sub(r"[^a-z0-9_-]+", "-", "-".join([layer, *words]).lower())
    return {"pylock": f"pylock.{name}.toml", "requirements": f"{name}.requirements.txt"}.get(form, f"{name}.conda.txt")


def need(id_: str, name: str) -> str:
    """The value of a need in an entry's id, such as `2.36` of `libc`. ResolveError for one that is not there."""
    for word in id_.split():
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    raise ResolveError(f"the lock's entry {id_} does not say its {name}", remedy="run 'pipeline lock' again")
