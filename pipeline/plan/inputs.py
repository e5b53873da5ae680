"""What enters the keys of steps, and the same as short texts by name, for saying which one changed.

A name is a noun and what it is of (`package numpy`, `file src/score.py`, `env WORKERS`). The id of a step (`layer
code`) names that step, and its text is the beginning of the step's key. pipeline.plan.why makes words of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.assemble import PACKER
from pipeline.digest import cache_key, short
from pipeline.manifest.model import Secret
from pipeline.recipe import Assemble, Borrow, Execute, Recipe

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LONGEST = 80
"""A longer text is told by its hash."""
_NOUNS = {"Env": "env", "Labels": "label", "ExposedPorts": "port", "Volumes": "volume", "WorkingDir": "workdir"}
_PARTS = {
    "commands": "command",
    "imports": "import",
    "packages": "package",
    "secrets": "secret",
    "specs": "spec",
    "trees": "tree",
}


def key_material(recipe: Recipe) -> Any:
    if isinstance(recipe, Assemble):
        packed = ["assemble", PACKER, recipe.packer, recipe.inputs, recipe.compression]
        return [*packed, key_material(recipe.build)] if recipe.build else packed
    if isinstance(recipe, Borrow):
        return ["borrow", recipe.layers, recipe.config]
    return ["execute", PACKER, recipe.argv, dict(recipe.env), recipe.user, recipe.workdir, recipe.inputs]


def recipe_inputs(recipe: Recipe, locked: Any = None, packages: Mapping[str, str] | None = None) -> dict[str, str]:
    """Each input by name, lists of packages and files member by member.

    `locked` tells the names of packages that a recipe knows by hash alone, and what an image from elsewhere is called;
    `packages` are those that it has.
    """
    if isinstance(recipe, Borrow):
        return _borrowed(recipe, locked, packages or {})
    if isinstance(recipe, Execute):
        return _command(recipe)
    found: dict[str, str] = {"packer": PACKER, "compression": recipe.compression}
    for name, value in recipe.inputs.items():
        found |= _input(name, value, recipe.sources, locked)
    return {**found, **_command(recipe.build)} if recipe.build else found


def _input(name: str, value: Any, sources: Mapping[str, Any], locked: Any) -> dict[str, str]:
    if name == "wheels":
        return {f"package {_wheel(file)}": f"{file.split('-')[1]} {sha256[:12]}" for file, sha256 in value}
    if isinstance(value, Mapping):
        return flat(name, value)
    if not isinstance(value, list | tuple) or not value:
        return {name: short_text(value)}
    if all(isinstance(item, Mapping) for item in value):
        return dict(_member(item, sources) for item in value)
    if all(isinstance(item, str) and _SHA256.fullmatch(item) for item in value):
        names = dict(_hashes(locked))
        return {
            f"package {names.get(item, (item[:12],))[0]}": " ".join((*names.get(item, ("",))[1:], item[:12]))
            for item in value
        }
    if all(isinstance(item, str) for item in value):
        return texts(name, value)
    return {name: short_text(value)}


def texts(name: str, values: Sequence[str]) -> dict[str, str]:
    """A list of texts: each by itself, a package's version apart, and their order."""
    noun = _PARTS.get(name, name)
    found = {}
    for value in values:
        head, _, version = value.partition("=") if noun == "package" else (value, "", "")
        found[f"{noun} {short_text(head)}"] = version
    return {**found, f"order of {name}": short_text("\n".join(values))} if len(values) > 1 else found


def _member(item: Mapping[str, Any], sources: Mapping[str, Any]) -> tuple[str, str]:
    if path := item.get("path"):
        # By its place in the project, where people know it.
        return f"{'folder' if 'dir' in item else 'file'} {sources.get(path) or path}", _label(item)
    return f"package {item.get('name') or item.get('file') or short_text(item)}", _label(item)


def _hashes(locked: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names and versions of locked packages by their hashes, wherever they stand."""
    if isinstance(locked, Mapping):
        if sha256 := locked.get("sha256"):
            yield sha256, (locked.get("name") or _wheel(locked.get("file", "")), locked.get("version", ""))
            # Nothing below a package is another one; every run comes by here.
            return
        for value in locked.values():
            yield from _hashes(value)
    elif isinstance(locked, list | tuple):
        for value in locked:
            yield from _hashes(value)


def _borrowed(recipe: Borrow, locked: Any, packages: Mapping[str, str]) -> dict[str, str]:
    """Of an image from elsewhere its name, its packages and its config; else only that its files are others."""
    found = {f"package {name}": version for name, version in packages.items()}
    if isinstance(locked, Mapping) and locked.get("reference"):
        found["reference"] = f"{locked['reference']}@{short(str(locked.get('digest', '')))}"
    content = cache_key([layer["diff_id"] for layer in recipe.layers])
    return {**found, **config_inputs(recipe.config), "content": f"#{content[:12]}"}


def _command(recipe: Execute) -> dict[str, str]:
    found = {"packer": PACKER, "user": recipe.user, "workdir": recipe.workdir, **flat("env", recipe.env)}
    found["content"] = f"#{cache_key(list(recipe.argv))[:12]}"
    for name, value in recipe.inputs.items():
        found |= _input(name, value, {}, None)
    return found


def config_inputs(config: Mapping[str, Any]) -> dict[str, str]:
    """Each setting, label and environment variable of an image's config by its name."""
    env = dict(pair.partition("=")[::2] for pair in config.get("Env") or ())
    found: dict[str, str] = {}
    for name, value in {**config, "Env": env}.items():
        found |= flat(_NOUNS.get(name) or _HUMP.sub(" ", name).lower(), value)
    return found


def flat(name: str, value: Any) -> dict[str, str]:
    """A value by its name; a mapping entry by entry, so that `why` names the one that changed."""
    if not isinstance(value, Mapping):
        return {name: short_text(value)}
    entries = (flat(f"{name} {key}".strip(), entry) for key, entry in value.items())
    return {key: text for found in entries for key, text in found.items()}


def _wheel(file: str) -> str:
    return str(file).partition("-")[0].replace("_", "-").lower()


def _label(item: Mapping[str, Any]) -> str:
    """A package by its version and the beginning of its hash; a file by that of its digest, mode and owner."""
    version = str(item.get("version", ""))
    content = str(item.get("digest") or item.get("sha256") or "")
    hidden = ("name", "version", "digest", "sha256", "path", "size", "file", "dir", "leads")
    rest = {k: v for k, v in item.items() if k not in hidden}
    detail = [f"{key} {value:04o}" if key == "mode" else f"{key} {short_text(value)}" for key, value in rest.items()]
    return " ".join(filter(None, (version, content.removeprefix("sha256:")[:12], *(detail if not version else ()))))


def short_text(value: Any) -> str:
    """A value as one short text: itself when small, else its hash."""
    known = plain(value)
    text = known if isinstance(known, str) else _line(known) if isinstance(known, list) else repr(known)
    return text if len(text) <= _LONGEST else f"#{cache_key(text)[:12]}"


def _line(values: Sequence[Any]) -> str:
    """A list as a command line has it: words with blanks in quotation marks."""
    return " ".join(str(value) if value != "" and " " not in str(value) else repr(value) for value in values)


def plain(value: Any) -> Any:
    """JSON types for a key. Of a secret 32 bits of its hash: enough to see that it changed, too few to find it out."""
    if isinstance(value, Secret):
        return f"secret {cache_key(value.reveal())[:8]}"
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
