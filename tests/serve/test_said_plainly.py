"""Words of others in the server's log and pages: nothing that a terminal or a browser would obey."""

from __future__ import annotations

from pathlib import Path

import pytest
from servelab import Lab, manifest
from webmaker import PROD, Web

from pipeline.serve.model import Job, Reason
from pipeline.serve.settings import Access
from pipeline.serve.views_words import log_line, plain


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("red \x1b[31malert\x1b[0m", "red alert"),
        ("title \x1b]0;owned\x07end", "title end"),
        ("bell\x07 and \x9b2J", "bell\ufffd and \ufffd2J"),
        ("abc\u202egnp.exe", "abc\ufffdgnp.exe"),
        ("\u2066isolated\u2069 \u061c\u200f\u200e", "\ufffdisolated\ufffd \ufffd\ufffd\ufffd"),
        ("un\u200bseen \u2060\ufeff\u00ad", "un\ufffdseen \ufffd\ufffd\ufffd"),
        ("line\u2028line\u2029line", "line\ufffdline\ufffdline"),
        ("tag\U000e0041 \udcff", "tag\ufffd \ufffd"),
        ("شكرا 👩\u200d💻 می\u200cخواهم é", "شكرا 👩\u200d💻 می\u200cخواهم é"),
        ("10 %\r90 %\rdone", "done"),
    ],
)
def test_what_would_be_obeyed_or_not_be_seen_is_replaced(told: str, shown: str) -> None:
    assert plain(told) == shown
    shown.encode()


def test_an_entry_of_the_log_cannot_be_forged() -> None:
    told = "job 1: failed\n2026-03-02T03:00:41Z  job 2: done\x1b[2K\r\nmore"
    lines = log_line(told).split("\n")
    assert lines[0] == "job 1: failed" and all(line.startswith("    ") for line in lines[1:])


def test_the_operators_log_is_plain(tmp_path: Path) -> None:
    lab = Lab(tmp_path, manifest("one"))
    core = lab.core()
    core.say("by \x1b[31mEve\u202e: x\n2026-03-02T03:00:41Z  forged")
    assert lab.said == ["by Eve\ufffd: x\n    2026-03-02T03:00:41Z  forged"]
    core.close()


@pytest.mark.parametrize("path", ["/jobs", "/jobs/1", "/manifests/models/manifests/prod.yaml"])
def test_words_of_others_are_isolated_in_pages(tmp_path: Path, path: str) -> None:
    web = Web(tmp_path, Access()).fill()
    job = web.parts.queue.add(Job(0, PROD, "run", Reason("commit", "commit 3f9c1d0 'שלום (1)\u202e' by \x1b[31mEve")))
    text = web.client.get(path.replace("/1", f"/{job.id}")).text
    assert "<bdi>commit 3f9c1d0 &#39;שלום (1)\ufffd&#39; by Eve</bdi>" in text
    assert "\u202e" not in text and "\x1b" not in text
