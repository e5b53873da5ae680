"""OCI layouts and `docker save` archives whose documents, blobs and links are not what they should be."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from evil_tars import Chance, broken, compressed, evil, good, member, tar
from fuzz_texts import changed

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _config(diff_ids: list[str]) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "User": "0", "Labels": {"a": "b"}, "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "ADD /"} for _ in diff_ids],
    }


def _layer(chance: Chance, outside: Path) -> bytes:
    """A layer's tar, as often good as not: what comes after it is to be tried, too."""
    return tar(chance, str(outside)) if chance.random() < 0.4 else b"".join(good(chance)) + bytes(1024)


class _Blobs:
    """Blobs by their digests, of documents that were changed here and there before they were hashed, or after."""

    def __init__(self, chance: Chance) -> None:
        self.files: dict[str, bytes] = {}
        self._chance = chance

    def add(self, data: bytes, media_type: str) -> dict[str, Any]:
        found = digest(data)
        self.files["blobs/sha256/" + found.partition(":")[2]] = broken(data, self._chance, often=0.06)
        return {"mediaType": media_type, "digest": found, "size": len(data)}

    def document(self, value: Any, media_type: str) -> dict[str, Any]:
        return self.add(document(value, self._chance), media_type)


def document(value: Any, chance: Chance, often: float = 0.15) -> bytes:
    """JSON, now and then of other types, nested without end, or no JSON."""
    if chance.random() < often:
        value = changed(value, chance)
    act = chance.random()
    if act < 0.02:
        return b"[" * 100_000
    if act < 0.04:
        return b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    if act < 0.05:
        return b" " * (9 << 20) + b"{}"
    return broken(json.dumps(value).encode(), chance, often=0.06)


def layout(place: Path, chance: Chance, outside: Path) -> None:
    """An OCI layout at `place`, in a folder or a tar."""
    blobs, layers, diff_ids = _Blobs(chance), [], []
    for _ in range(chance.randint(1, 3)):
        plain = _layer(chance, outside)
        data, media_type = compressed(plain, chance)
        diff_ids.append(digest(plain))
        layers.append(blobs.add(data, media_type))
    config = blobs.document(_config(diff_ids), CONFIG)
    image = blobs.document({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}, MANIFEST)
    for _ in range(chance.choice([0, 0, 1, 2, 5])):
        entry = {**image, "platform": {"os": "linux", "architecture": "amd64"}}
        image = blobs.document({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}, INDEX)
    if chance.random() < 0.05:
        image = {
            **image,
            "digest": chance.choice(["sha256:" + "0" * 64, "sha256:../../../outside/canary", "md5:x", ""]),
        }
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', **blobs.files}
    files["index.json"] = document({"schemaVersion": 2, "manifests": [image]}, chance)
    if chance.random() < 0.1:
        del files[chance.choice(list(files))]
    _folder(place, files, chance, outside) if chance.random() < 0.6 else _tarred(place, files, chance, outside)


def _folder(place: Path, files: dict[str, bytes], chance: Chance, outside: Path) -> None:
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        act = chance.random()
        if act < 0.02:
            path.symlink_to(outside / "canary")
        elif act < 0.03:
            os.mkfifo(path)
        elif act < 0.04:
            path.mkdir()
        elif act < 0.05:
            path.symlink_to(path.name)
        else:
            path.write_bytes(data)


def _tarred(place: Path, files: dict[str, bytes], chance: Chance, outside: Path) -> None:
    members = [member(name.encode(), data) for name, data in files.items()]
    chance.shuffle(members)
    place.write_bytes(tar(chance, str(outside), members) if chance.random() < 0.5 else b"".join(members) + bytes(1024))


def saved(chance: Chance, outside: Path) -> bytes:
    """A `docker save` archive."""
    layers, diff_ids, members = [], [], []
    for number in range(chance.randint(1, 3)):
        plain = _layer(chance, outside)
        data = plain if chance.random() < 0.5 else compressed(plain, chance)[0]
        diff_ids.append(digest(plain))
        name = f"{number}/layer.tar"
        layers.append(name)
        if chance.random() < 0.1:
            members.append(member(name.encode(), kind=chance.choice([b"1", b"2"]), link=name.encode()))
        else:
            members.append(member(name.encode(), data))
    config = document(_config(diff_ids), chance)
    listing = [{"Config": "config.json", "RepoTags": ["a:b"], "Layers": layers}]
    members += [member(b"config.json", config), member(b"manifest.json", document(listing, chance))]
    if chance.random() < 0.3:
        chance.shuffle(members)
    if chance.random() < 0.3:
        members.insert(chance.randint(0, len(members)), evil(chance, str(outside)))
    whole = b"".join(members) + bytes(1024)
    return broken(whole, chance, often=0.2)
