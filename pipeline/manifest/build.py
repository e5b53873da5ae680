"""Checked data to the frozen manifest: units become numbers, what is left out gets its default."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import Location
from pipeline.manifest.model import (
    Azure,
    Build,
    Cache,
    Checks,
    Entry,
    Image,
    LayerBudget,
    Path_,
    Push,
    Registry,
    Remote,
    Retry,
    Secret,
    Serve,
    Timeouts,
)
from pipeline.manifest.requires import normal

Where = Callable[[Path_], Location]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def seconds(value: Any) -> float:
    """Seconds of a number, or of a text such as 500ms, 2s, 1m or 1h."""
    if isinstance(value, str):
        number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m|h)?", value).groups()  # type: ignore[union-attr]
        return float(number) * _SECONDS[unit or "s"]
    return float(value)


def size(value: Any) -> int:
    """Bytes of a number, or of a text such as 600MB (powers of 1000) or 1.5GiB (powers of 1024)."""
    if isinstance(value, str):
        number, power, binary = re.fullmatch(r"([0-9.]+) ?([kKMGT]?)(i?)B?", value).groups()  # type: ignore[union-attr]
        return int(float(number) * (1024 if binary else 1000) ** _POWERS[power])
    return int(value)


def entries(data: Mapping[str, Any], section: str, where: Where) -> dict[str, Entry]:
    """The bases, layers or targets."""
    found = {}
    for name, value in (data.get(section) or {}).items():
        ((kind, spec),) = ((kind, spec) for kind, spec in value.items() if kind != "requires")
        found[name] = Entry(name, kind, spec, where((section, name)), normal(value.get("requires")))
    return found


def registries(data: Mapping[str, Any], where: Where) -> dict[str, Registry]:
    found = {}
    for name, value in (data.get("registries") or {}).items():
        found[name] = Registry(
            name,
            value.get("address", ""),
            value.get("username", ""),
            _secret(value.get("password")),
            where(("registries", name)),
            value.get("ca", ""),
            value.get("insecure", False),
            value.get("compression", "auto"),
            _azure(value.get("azure")),
        )
    return found


def _azure(value: Mapping[str, Any] | None) -> Azure | None:
    return None if value is None else Azure(**{**value, "client_secret": _secret(value.get("client_secret"))})


def _secret(value: str | None) -> Secret | None:
    return value if value is None or isinstance(value, Secret) else Secret(value)


def build(data: Mapping[str, Any]) -> Build:
    given = dict(data.get("build", {}))
    limits = given.pop("layers", {})
    counts = ("parts", "number")
    budget = LayerBudget(**{key: value if key in counts else size(value) for key, value in limits.items()})
    remote = dict(given.pop("remote", {}))
    remote |= {"timeout": seconds(remote["timeout"])} if "timeout" in remote else {}
    return Build(**given, layers=budget, remote=Remote(**remote))


def cache(data: Mapping[str, Any]) -> Cache | None:
    return Cache(**data["cache"]) if data.get("cache") else None


def retry(data: Mapping[str, Any]) -> Retry:
    given = data.get("retry", {})
    general = _retry(given, Retry())
    return replace(general, steps={kind: _retry(one, general) for kind, one in given.get("steps", {}).items()})


def timeouts(data: Mapping[str, Any]) -> Timeouts:
    given, default = data.get("timeouts", {}), Timeouts()
    return Timeouts(
        seconds(given.get("connect", default.connect)),
        seconds(given.get("read", default.read)),
        seconds(given.get("step", default.step)),
        {kind: seconds(one) for kind, one in given.get("steps", {}).items()},
    )


def _retry(given: Mapping[str, Any], default: Retry) -> Retry:
    """`given` on top of `default`."""
    return Retry(
        given.get("attempts", default.attempts),
        seconds(given.get("wait", default.wait)),
        seconds(given.get("max_wait", default.max_wait)),
        float(given.get("jitter", default.jitter)),
        seconds(given.get("deadline", default.deadline)),
        tuple(given.get("on", default.on)),
    )


def images(data: Mapping[str, Any], where: Where) -> dict[str, Image]:
    return {name: _image(name, value, where(("images", name))) for name, value in data["images"].items()}


def _image(name: str, value: Mapping[str, Any], location: Location) -> Image:
    serve, push = value.get("serve"), _push(name, value)
    return Image(
        name=name,
        base=value["base"],
        layers=tuple(value.get("layers", ())),
        location=location,
        serve=_serve(serve) if serve else None,
        env=_texts(value.get("env", {})),
        user=str(value.get("user", "")),
        workdir=value.get("workdir", ""),
        command=tuple(value.get("command", ())),
        labels=_texts(value.get("labels", {})),
        platforms=tuple(value.get("platforms", ())),
        tags=tuple(value.get("tags") or (push.tags if push else ("latest",))),
        checks=_checks(value.get("checks", {})),
        requires=normal(value.get("requires")),
        push=push,
    )


def _serve(value: Mapping[str, Any]) -> Serve:
    times = {key: seconds(value[key]) for key in ("scoring_timeout", "worker_timeout") if key in value}
    return Serve(**{**value, **times})


def _push(name: str, value: Mapping[str, Any]) -> Push | None:
    given = value.get("push")
    if given is None:
        return None
    tags = given.get("tags") or value.get("tags", ("latest",))
    return Push(given["to"], given.get("repository", name), tuple(tags))


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def _checks(value: Mapping[str, Any]) -> Checks:
    limit = value.get("size")
    return Checks(
        tuple(value.get("imports", ())),
        value.get("score"),
        None if limit is None else size(limit),
        tuple(value.get("libraries", {}).get("ignore", ())),
    )
