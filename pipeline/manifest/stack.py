"""The serving stack of an image, `serve: {stack: azureml}`: the layer that it adds, and what is the stack's own.

The folder and the ports are those that Azure ML's images keep for their web server.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Entry, Image

SERVER = "azureml-inference-server-http"
"""The distribution that serves."""
WANTED = f"{SERVER}~=1.5"
FOLDER = "/var/runit"
PORTS = (8883, 8888)
"""Beside the service's own, 5001."""
BESIDE = "beside"
"""The setting of the added layer, which no manifest has: it keeps what the layers below brought."""


def added(images: Mapping[str, Image], layers: Mapping[str, Entry]) -> tuple[dict[str, Image], dict[str, Entry]]:
    """Images and layers with a layer `IMAGE+stack` on each image that asks for the stack."""
    images, layers = dict(images), dict(layers)
    for name, image in images.items():
        if image.serve and image.serve.stack:
            layer = Entry(f"{name}+stack", "pip", {"packages": [WANTED], BESIDE: True}, image.location)
            layers[layer.name] = layer
            images[name] = replace(image, layers=(*image.layers, layer.name))
    return images, layers


def flaws(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What images with the stack take of its own: ports, variables, its start, and folders by `files` layers."""
    images, layers = data.get("images"), data.get("layers")
    for name, image in images.items() if isinstance(images, dict) else ():
        serve = image.get("serve") if isinstance(image, dict) else None
        if not isinstance(serve, dict) or not serve.get("stack"):
            continue
        place = ("images", name)
        if serve.get("port") in PORTS:
            yield Finding((*place, "serve", "port"), f"port {serve['port']} is the serving stack's own", "take 5001")
        if "command" in image:
            yield Finding((*place, "command"), "the serving stack starts the service", "leave out command, or `stack`")
        if "AML_APP_ROOT" in (image.get("env") or {}):
            yield Finding((*place, "env", "AML_APP_ROOT"), "the serving stack sets AML_APP_ROOT", "set serve.app_root")
        yield from _written(image, layers)


def _written(image: Mapping[str, Any], layers: Any) -> Iterator[Finding]:
    names = image.get("layers")
    for name in names if isinstance(names, list) and isinstance(layers, dict) else ():
        entry = layers.get(name) if isinstance(name, str) else None
        items = entry.get("files") if isinstance(entry, dict) else None
        for number, item in enumerate(items if isinstance(items, list) else ()):
            to = item.get("to") if isinstance(item, dict) else None
            if isinstance(to, str) and is_own(to):
                yield Finding(("layers", name, "files", number, "to"), told(to), "put the files elsewhere")


def is_own(path: str) -> bool:
    """Whether a path of the image is the stack's folder, or below it."""
    return f"{posixpath.normpath('/' + path.lstrip('/'))}/".startswith(f"{FOLDER}/")


def told(path: str) -> str:
    """That a layer may not write there, in words."""
    return f"/{path.lstrip('/')} is in {FOLDER}, which is the serving stack's own"
