"""The section `schedule:`: what it may say, and what it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ManifestError, UsageError
from pipeline.manifest.cron import cron, numbers
from pipeline.manifest.load import load
from pipeline.manifest.model import Manifest, Schedule

MANIFEST = """\
version: 1
name: m
bases: {slim: {debian: {suite: bookworm, packages: [python3]}}}
images: {scoring: {base: slim}}
"""


def loaded(folder: Path, schedule: str = "", **environ: str) -> Manifest:
    path = folder / "m.yaml"
    path.write_text(f"{MANIFEST}{schedule}\n")
    return load(path, environ=environ)


def test_a_text_is_its_fields(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'schedule: "0 3 * * mon"').schedule == Schedule("0 3 * * 1")


def test_all_settings(tmp_path: Path) -> None:
    text = "schedule: {cron: 30 2 1 jan *, timezone: Europe/Berlin, jitter: 10m, upgrade: [slim], policy: apply}"
    assert loaded(tmp_path, text).schedule == Schedule("30 2 1 1 *", "Europe/Berlin", 600.0, ("slim",), "apply")


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path).schedule is None


def test_it_may_come_from_the_environment(tmp_path: Path) -> None:
    assert loaded(tmp_path, "schedule: ${env:WHEN}", WHEN="5 4 * * *").schedule == Schedule("5 4 * * *")


def test_a_city_finds_its_zone(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"m.yaml:5:41: there is no time zone 'New York' .*America/New_York"):
        loaded(tmp_path, 'schedule: {cron: 0 3 * * *, timezone:   "New York"}')


@pytest.mark.parametrize("name", ["../../etc/passwd", "Europe", "", "Europe/Berlin/", "UTC+1h"])
def test_what_is_no_zone_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="there is no time zone"):
        loaded(tmp_path, f'schedule: {{cron: 0 3 * * *, timezone: "{name}"}}')


@pytest.mark.parametrize("text", ["0 3 30 2 *", "0 3 31 4,6,9,11 *", "0 3 30-31 feb */2", "0 3 31 2 *"])
def test_days_that_never_come_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="never comes"):
        cron(text)


@pytest.mark.parametrize("text", ["0 3 29 2 *", "0 3 31 * *", "0 3 30 2 mon", "0 3 */31 2 *", "0 3 31 1-2 *"])
def test_days_that_do_come_are_taken(text: str) -> None:
    assert cron(text)


def test_numbers_of_a_field() -> None:
    assert numbers("*/20", 0, 59) == [0, 20, 40]
    assert numbers("1-5/2,30", 0, 59) == [1, 3, 5, 30]
    assert numbers("*", 1, 3) == [1, 2, 3]
