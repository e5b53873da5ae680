"""What enters the keys of steps, and the same as short texts by name, for saying which one changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.assemble import PACKER
from pipeline.digest import cache_key
from pipeline.manifest.model import Secret
from pipeline.recipe import Assemble, Borrow, Recipe


def key_material(recipe: Recipe) -> Any:
    if isinstance(recipe, Assemble):
        packed = ["assemble", PACKER, recipe.packer, recipe.inputs, recipe.compression]
        return [*packed, key_material(recipe.build)] if recipe.build else packed
    if isinstance(recipe, Borrow):
        return ["borrow", recipe.layers, recipe.config]
    return ["execute", PACKER, recipe.argv, dict(recipe.env), recipe.user, recipe.workdir, recipe.inputs]


def recipe_inputs(recipe: Recipe) -> dict[str, str]:
    """Each input by name, lists of packages and files member by member: what `why` compares."""
    if isinstance(recipe, Borrow):
        layers = {f"layer {number}": layer["diff_id"][7:19] for number, layer in enumerate(recipe.layers, 1)}
        return {**layers, **config_inputs(recipe.config)}
    found: dict[str, str] = {"packer": PACKER}
    for name, value in recipe.inputs.items():
        if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                label = item.get("name") or item.get("path") or item.get("file") or short_text(item)
                found[str(label)] = _label(item)
        elif name == "wheels":
            found |= {_wheel(file): f"{file.split('-')[1]} {sha256[:12]}" for file, sha256 in value}
        else:
            found[name] = short_text(value)
    return found


def config_inputs(config: Mapping[str, Any]) -> dict[str, str]:
    """Each setting, label and environment variable of an image's config by its name."""
    env = dict(pair.partition("=")[::2] for pair in config.get("Env") or ())
    return flat("config", {**config, "Env": env})


def flat(name: str, value: Any) -> dict[str, str]:
    """A value by its name; a mapping entry by entry, so that `why` names the one that changed."""
    if not isinstance(value, Mapping):
        return {name: short_text(value)}
    entries = (flat(f"{name} {key}".strip(), entry) for key, entry in value.items())
    return {key: text for found in entries for key, text in found.items()}


def _wheel(file: str) -> str:
    return str(file).partition("-")[0].replace("_", "-").lower()


def _label(item: Mapping[str, Any]) -> str:
    version = str(item.get("version", ""))
    content = str(item.get("digest") or item.get("sha256") or "")
    rest = {k: v for k, v in item.items() if k not in ("name", "version", "digest", "sha256", "path", "size", "file")}
    detail = [f"{key} {value:04o}" if key == "mode" else f"{key} {short_text(value)}" for key, value in rest.items()]
    return " ".join(filter(None, (version, content.removeprefix("sha256:")[:12], *(detail if not version else ()))))


def short_text(value: Any) -> str:
    """A value as one short text: itself when small, else its hash."""
    known = plain(value)
    text = known if isinstance(known, str) else repr(known)
    return text if len(text) <= 80 else f"#{cache_key(text)[:12]}"


def plain(value: Any) -> Any:
    """JSON types for a key. Of a secret 32 bits of its hash: enough to see that it changed, too few to find it out."""
    if isinstance(value, Secret):
        return f"secret {cache_key(value.reveal())[:8]}"
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
