"""The section `schedule:`: when a manifest is resolved anew by the clock. Its schema, its checks, its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.manifest.shapes import DURATION, Schema, mapping

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.manifest.findings import Finding
    from pipeline.manifest.model import Path_, Schedule


def schema() -> Schema:
    """Crontab's five fields alone, or with what else there is to say."""
    cron: Schema = {
        "type": "string",
        "description": "Minute, hour, day, month and day of the week, as in crontab(5).",
        "x-hint": "minute, hour, day, month and day of the week, as in '0 3 * * 1'",
        "examples": ["0 3 * * 1"],
    }
    zone = "The time zone of these fields, by its name in the IANA database."
    names = "Bases, layers and packages to take anew, as after `pipeline lock --upgrade`; everything when left out."
    several = mapping(
        "When, and what is then done.",
        {
            "cron": cron,
            "timezone": {"type": "string", "default": "UTC", "description": zone, "examples": ["Europe/Berlin"]},
            "jitter": {**DURATION, "default": 0, "description": "Begin up to this much later, always the same."},
            "upgrade": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "uniqueItems": True,
                "description": names,
                "examples": [["slim", "numpy"]],
            },
            "policy": {
                "enum": ["propose", "apply"],
                "description": "A lock that comes out otherwise is proposed, or run and committed; the server's "
                "setting when left out.",
            },
        },
        ("cron",),
    )
    return {
        "description": "When `pipeline serve` takes what is new below, in crontab's five fields.",
        "oneOf": [cron, several],
        "x-hint": "as in '0 3 * * 1'",
        "examples": ["0 3 * * 1"],
    }


def flaws(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What a schema cannot find: fields that crontab would not take, days that never come, and unknown time zones."""
    from pipeline.errors import UsageError
    from pipeline.manifest.cron import cron
    from pipeline.manifest.findings import Finding

    given = data.get("schedule")
    whole = isinstance(given, Mapping)
    place: Path_ = ("schedule", "cron") if whole else ("schedule",)
    text = given.get("cron") if isinstance(given, Mapping) else given
    if isinstance(text, str):
        try:
            cron(text)
        except UsageError as error:
            yield Finding(place, error.message, error.remedy)
    name = given.get("timezone") if isinstance(given, Mapping) else None
    if isinstance(name, str) and not _is_zone(name):
        yield Finding(("schedule", "timezone"), *_no_zone(name))


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # Without data on time zones no name can be told from another.
        return not available_timezones()
    return True


def _no_zone(name: str) -> tuple[str, str]:
    """What is wrong, and which zone may be meant: by the whole name, or by its city."""
    from zoneinfo import available_timezones

    from pipeline.manifest.words import did_you_mean, listed, shown

    zones = sorted(available_timezones())
    city = name.rpartition("/")[2].replace(" ", "_").lower()
    same = [zone for zone in zones if zone.rpartition("/")[2].lower() == city]
    remedy = f"did you mean {listed(same)}?" if same else did_you_mean(name, zones)
    return f"there is no time zone {shown(name)}", remedy or "a name of the IANA database, as in Europe/Berlin, or UTC"


def schedule(value: Any) -> Schedule | None:
    """The section as a value; None where there is none. For data that was checked."""
    if value is None:
        return None
    from pipeline.manifest.build import seconds
    from pipeline.manifest.cron import cron
    from pipeline.manifest.model import Schedule

    given = {"cron": value} if isinstance(value, str) else dict(value)
    jitter, names = seconds(given.pop("jitter", 0)), tuple(given.pop("upgrade", ()))
    return Schedule(**{**given, "cron": str(cron(given["cron"]))}, jitter=jitter, upgrade=names)


def written(text: str, file: str, folder: Path, environ: Mapping[str, str]) -> Schedule | None:
    """What the text of a manifest in `folder` says of its schedule, whatever else is wrong with it, or not set here.

    Raises ManifestError for what is no YAML, or no schedule.
    """
    from pipeline.errors import ManifestError
    from pipeline.manifest import interpolate, paths, source, validate

    document = source.parse(text, file)
    node = document.root.value.get("schedule") if isinstance(document.root.value, dict) else None
    if node is None:
        return None
    alone = replace(document, root=replace(document.root, value={"schedule": node}))
    sources = interpolate.Sources(environ, {}, paths.project_root(folder / file), folder)
    found = interpolate.resolve(alone, sources)
    whole = {"type": "object", "properties": {"schedule": schema()}}
    findings = [*validate.check(found.data, whole, lambda _path: None), *flaws(found.data)]
    problems = [document.diagnose(document.where(one.path), one.message, one.remedy) for one in findings]
    if problems or found.problems:
        raise ManifestError([*found.problems, *problems])
    return schedule(found.data["schedule"])
