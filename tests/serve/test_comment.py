"""A pull request's plan as Markdown: nothing in it gets out of its place, and it fits."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as some

from pipeline.serve.comment import comment, fenced, plain
from pipeline.serve.hosts.text import cut, one_line
from pipeline.serve.model import Job, Reason, Tracked

REASON = Reason("pull-request", "pull request 4")


def job(number: int, text: str, state: str = "done", **told: object) -> Job:
    manifest = Tracked("models", f"manifests/{number}.yaml")
    return Job(number, manifest, "plan", REASON, state, "c" * 40, told={"text": text, **told})  # type: ignore[arg-type]


def shown(*jobs: Job) -> str:
    return comment(jobs, lambda manifest: manifest.path, lambda one: f"https://serve.example.com/jobs/{one.id}")


def test_a_comment_for_people() -> None:
    lock = ["layer science (linux/amd64)", "  numpy 1.26.4 → 2.0.0"]
    plan = ["layer  science  miss  packages changed", "2 to be made, 3 hits"]
    text = comment(
        [job(1, "2 to be made, 3 hits", lock=lock, plan=plan), job(2, "line 3: no such kind", "failed", remedy="pip?")],
        lambda manifest: "prod" if "1" in manifest.path else manifest.path,
        lambda one: f"https://serve.example.com/jobs/{one.id}",
    )
    assert (
        text
        == """### What this pull request would do

1 of 2 manifests would fail, at `cccccccccccc`.

✅ **prod** (manifests/1.yaml): 2 to be made, 3 hits · [more](https://serve.example.com/jobs/1)

<details><summary>what moves in the lock</summary>

```diff
layer science (linux/amd64)
  numpy 1.26.4 → 2.0.0
```

</details>

<details><summary>the plan</summary>

```text
layer  science  miss  packages changed
2 to be made, 3 hits
```

</details>

❌ **manifests/2.yaml**: cannot be planned · [more](https://serve.example.com/jobs/2)

```text
line 3: no such kind
pip?
```
"""
    )


def test_nobody_is_mentioned_and_nothing_is_markup() -> None:
    text = plain("@acme/everyone #12 !3 [x](https://evil.example.com) <img src=x> **b** `c` ~s~ a_b | & \\")
    assert not re.search(r"(?<!\\)[@#!\[\]<>*`~_|&]", text)
    assert not re.search(r"[@#!]\w", text)
    assert (
        text.replace("\\", "").replace("\u2060", "").startswith("@acme/everyone #12 !3 [x](https://evil.example.com)")
    )


@given(some.text(alphabet="`~\n<>/detailsx \x1b", max_size=80))
def test_no_text_ends_its_code_block(text: str) -> None:
    lines = fenced(text, "text").splitlines()
    fence = lines[0].removesuffix("text")
    assert len(fence) >= 3
    assert lines[-1] == fence
    assert not any(line.strip().startswith(fence) for line in lines[1:-1])
    assert "\x1b" not in "".join(lines)


def test_many_large_plans_fit_every_host() -> None:
    jobs = [job(n, "x" * 500, plan=["y" * 100] * 2000, lock=["z" * 100] * 2000) for n in range(50)]
    text = shown(*jobs)
    assert len(text) < 65_000 + 20_000
    assert cut(text, 65_000).count("<details>") == cut(text, 65_000).count("</details>")


@given(some.integers(min_value=300, max_value=3000))
def test_a_cut_leaves_nothing_open(most: int) -> None:
    text = shown(*(job(n, "3 to be made", plan=["step ````` and ``` more"] * 20, lock=["+ x"] * 9) for n in range(5)))
    short = cut(text, most)
    assert len(short) <= most
    assert short.count("<details>") == short.count("</details>")
    fences = [line for line in short.splitlines() if re.fullmatch(r"`{3,}(diff|text)?", line)]
    assert len(fences) % 2 == 0
    assert cut(text, len(text)) == text


@given(some.text(max_size=300), some.integers(min_value=10, max_value=140))
def test_one_line_is_one_line(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert line.isprintable()
    assert line == " ".join(line.split())
