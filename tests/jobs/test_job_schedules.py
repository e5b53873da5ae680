"""The schedule that a manifest has, as other schedulers take it: its time zone, its delay, its names."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.cli._door import run
from pipeline.errors import UsageError
from pipeline.jobs import utc
from pipeline.manifest.cron import cron
from pipeline.serve.cron import next_firing

HEAD = "version: 1\nname: shop\nregistries: {prod: {address: '${env:NOT_SET}'}}\nimages: {}\n"


def exported(folder: Path, host: str, *more: str, code: int = 0, **environ: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    words = ["export", host, str(folder / "manifests/prod.yaml"), *more]
    assert run(words, environ={**os.environ, **environ}, out=out, err=err) == code, err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


@pytest.fixture
def shop(project: Callable[..., Path]) -> Callable[[str], Path]:
    return lambda schedule: project({"manifests/prod.yaml": f"{HEAD}schedule: {schedule}\n"})


FULL = '{cron: "0 1 * * 1", timezone: Europe/Berlin, jitter: 10m, upgrade: [slim, numpy]}'


def test_systemd_takes_the_zone_and_the_delay(shop: Callable[[str], Path]) -> None:
    text = exported(shop(FULL), "systemd")
    assert "OnCalendar=Mon *-*-* 1:0:00 Europe/Berlin\nRandomizedDelaySec=600\nFixedRandomDelay=true\n" in text
    assert "run --upgrade slim --upgrade numpy manifests/prod.yaml\n" in text


def test_crontab_says_the_zone(shop: Callable[[str], Path]) -> None:
    text = exported(shop(FULL), "cron")
    assert "\nCRON_TZ=Europe/Berlin\n0 1 * * 1 " in text
    assert "Debian's cron goes by the machine's time zone" in text


@pytest.mark.parametrize("host", ["github-actions", "azure-pipelines"])
def test_hosts_that_know_utc_alone_get_it_and_are_told_what_it_was(shop: Callable[[str], Path], host: str) -> None:
    text = exported(shop(FULL), host)
    assert '"0 0 * * 1"' in text
    assert "# UTC: 0 1 * * 1 of Europe/Berlin, by its standard time" in text


def test_gitlab_is_told_the_zone(shop: Callable[[str], Path]) -> None:
    assert "'0 1 * * 1', time zone Europe/Berlin" in exported(shop(FULL), "gitlab-ci")


def test_an_option_goes_before(shop: Callable[[str], Path]) -> None:
    text = exported(shop(FULL), "github-actions", "--schedule", "5 4 * * *")
    assert '"5 4 * * *"' in text and "Berlin" not in text


def test_the_rest_of_the_manifest_need_not_be_right_here(shop: Callable[[str], Path]) -> None:
    folder = shop("${env:WHEN}")
    assert '"5 4 * * *"' in exported(folder, "github-actions", WHEN="5 4 * * *")
    assert re.search(r"prod\.yaml:5:\d+: .*WHEN", exported(folder, "github-actions", code=2))


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ('"0 25 * * *"', "'25' is no hour"),
        ("{cron: 0 3 * * *, timezone: Mars}", "there is no time zone"),
        ("{when: now}", "unknown key 'when'"),
        ("[1]", "schedule"),
    ],
)
def test_what_is_no_schedule_is_told_with_its_place(shop: Callable[[str], Path], schedule: str, says: str) -> None:
    text = exported(shop(schedule), "systemd", code=2)
    assert re.search(r"prod\.yaml:5:\d+: ", text) and says in text


def test_what_utc_cannot_say_is_told(shop: Callable[[str], Path]) -> None:
    text = exported(shop("{cron: 0 0 1 * *, timezone: Europe/Berlin}"), "github-actions", code=2)
    assert "'0 0 1 * *' of Europe/Berlin cannot be said in UTC" in text and "--schedule" in text


@pytest.mark.parametrize(
    "timezone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo"]
)
@pytest.mark.parametrize(
    "text",
    [
        "0 3 * * *",
        "30 0 * * 1",
        "15 23 * * 5,0",
        "*/10 * * * *",
        "0 */6 * * *",
        "0 22-23 * * 6",
        "20 12 5 * *",
        "40 * * * *",
    ],
)
def test_in_utc_it_fires_at_the_same_times(timezone: str, text: str) -> None:
    """By standard time: compared in a January."""
    moved, _ = utc.in_utc(cron(text), timezone, 2026)
    when = other = datetime(2026, 1, 7, tzinfo=ZoneInfo("UTC")).timestamp()
    for _ in range(30):
        when, other = next_firing(text, timezone, when), next_firing(str(moved), "UTC", other)
        if when > datetime(2026, 3, 1, tzinfo=ZoneInfo("UTC")).timestamp():
            return
        assert when == other


@pytest.mark.parametrize(
    ("text", "timezone"),
    [
        ("0 0 1 * *", "Europe/Berlin"),
        ("0 0-2 * * 1", "Europe/Berlin"),
        ("0,45 3 * * *", "Asia/Kolkata"),
        ("0 * * * 1", "Asia/Tokyo"),
    ],
)
def test_what_no_five_fields_can_say_is_refused(text: str, timezone: str) -> None:
    with pytest.raises(UsageError, match="cannot be said in UTC"):
        utc.in_utc(cron(text), timezone, 2026)


def test_utc_stays_as_it_is() -> None:
    assert utc.in_utc(cron("0 3 1 1 *"), "UTC", 2026) == (cron("0 3 1 1 *"), "0 3 1 1 * of UTC")
