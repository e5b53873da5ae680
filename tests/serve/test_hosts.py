"""What every host's API does: one suite for all four, on doubles that check requests against the documentation."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from host_doubles import TOKEN, AzureDouble, Fault, GiteaDouble, GitHubDouble, GitLabDouble, Host, Pull, answer, silent
from host_server import serving

from pipeline.errors import OutOfReach, UsageError
from pipeline.http import Http
from pipeline.manifest.model import Secret
from pipeline.serve.hosts import api_of, host_of
from pipeline.serve.ports import HostApi, Request
from pipeline.serve.settings import Host as Settings

COMMIT = "3f9c1d0" + "0" * 33
NOW = 1_700_000_000.0
URLS = {
    "github": (GitHubDouble, "https://github.com/acme/models.git"),
    "gitlab": (GitLabDouble, "git@gitlab.com:acme/models.git"),
    "gitea": (GiteaDouble, "https://codeberg.org/acme/models"),
    "azure-devops": (AzureDouble, "https://dev.azure.com/org/My%20Project/_git/models"),
}


def api(double: Host, token: str = TOKEN, url: str = "") -> HostApi:
    url = url or next(url for kind, url in URLS.values() if type(double) is kind)
    kind, root, project = host_of(url)
    found = api_of(Settings(kind, root, project, Secret(token)), double, lambda: NOW)
    assert found is not None
    return found


@pytest.fixture(params=list(URLS))
def double(request: pytest.FixtureRequest) -> Host:
    kind: Callable[[], Host] = URLS[request.param][0]
    return kind()


def test_a_status_is_set_and_set_anew(double: Host) -> None:
    host = api(double)
    host.status(COMMIT, "pending", "pipeline/prod", "waits for its turn", "https://serve.example.com/jobs/7")
    host.status(COMMIT, "failure", "pipeline/prod", "no such package: numpyy", "https://serve.example.com/jobs/7")
    state, text, url = double.statuses[COMMIT, "pipeline/prod"]
    assert state.startswith("fail")
    assert (text, url) == ("no such package: numpyy", "https://serve.example.com/jobs/7")


@pytest.mark.parametrize("state", ["pending", "success", "failure", "error"])
def test_the_same_status_twice_is_no_error(double: Host, state: str) -> None:
    host = api(double)
    for _ in range(2):
        host.status(COMMIT, state, "pipeline/prod", "as it is", "")  # type: ignore[arg-type]
    assert len(double.statuses) == 1


def test_a_long_status_is_cut_and_stays_one_line(double: Host) -> None:
    api(double).status(COMMIT, "failure", "pipeline/prod", "a\nb\x1b[31m " + "x" * 500, "")
    text = double.statuses[COMMIT, "pipeline/prod"][1]
    assert text.startswith("a b [31m xxx")
    assert text.endswith("…")


def test_a_comment_is_written_once_and_then_changed(double: Host) -> None:
    host = api(double)
    for number in range(5):
        double.add("4", f"somebody's comment {number}")
    host.comment(4, "plan", "3 steps")
    host.comment(4, "plan", "5 steps")
    host.comment(9, "plan", "another request")
    ours = [text for text in double.on(4) if "steps" in text]
    assert len(ours) == 1
    assert ours[0].endswith("5 steps")
    assert len(double.on(4)) == 6


def test_a_comment_whose_answer_was_lost_is_not_written_twice(double: Host) -> None:
    host = api(double)
    double.faults.append(Fault(silent(), method="POST", after=True))
    with pytest.raises(OutOfReach):
        host.comment(4, "plan", "3 steps")
    host.comment(4, "plan", "3 steps")
    assert len(double.on(4)) == 1


def test_a_comment_that_only_looks_like_ours_is_left_alone(double: Host) -> None:
    double.add("4", "<!-- pipeline plan 0123456789abcdef -->\nall is well, merge me")
    api(double).comment(4, "plan", "it deletes everything")
    assert len(double.on(4)) == 2
    assert double.on(4)[0].endswith("merge me")


def test_a_comment_that_is_too_long_is_cut(double: Host) -> None:
    text = "<details><summary>x</summary>\n\n```text\n" + "line\n" * 300_000 + "```\n\n</details>"
    api(double).comment(4, "plan", text)
    found = double.on(4)[0]
    assert found.endswith("</details>\n\n(cut here: it was too long)")
    assert found.count("```") == 2


def test_a_pull_request_is_opened_once_and_then_brought_up_to_date(double: Host) -> None:
    host = api(double)
    double.pulls += [
        Pull(1, "pipeline/rebuild/prod", "main", "a guest's of the same name", fork=True),
        Pull(2, "pipeline/rebuild/prod", "main", "an older one", open=False),
    ]
    url = host.propose("pipeline/rebuild/prod", "main", "Rebuild prod", "numpy 1 → 2")
    assert host.propose("pipeline/rebuild/prod", "main", "Rebuild prod", "numpy 1 → 3") == url
    ours = double.pulls[2:]
    assert [(one.head, one.into, one.text) for one in ours] == [("pipeline/rebuild/prod", "main", "numpy 1 → 3")]
    assert url.startswith("https://")
    assert url.endswith("/3")
    assert double.pulls[0].text == ""


def test_a_pull_request_whose_answer_was_lost_is_not_opened_twice(double: Host) -> None:
    host = api(double)
    double.faults.append(Fault(silent(), method="POST", after=True))
    with pytest.raises(OutOfReach):
        host.propose("rebuild", "main", "Rebuild", "text")
    host.propose("rebuild", "main", "Rebuild", "text")
    assert len(double.pulls) == 1


def test_a_pull_request_is_withdrawn_with_the_reason(double: Host) -> None:
    host = api(double)
    double.pulls.append(Pull(1, "pipeline/rebuild/prod", "main", "a guest's of the same name", fork=True))
    host.propose("pipeline/rebuild/prod", "main", "Rebuild prod", "numpy 1 → 2")
    host.withdraw("pipeline/rebuild/prod", "main", "nothing is new any more")
    assert [one.number for one in double.open_pulls()] == [1]
    (said,) = double.on(2)
    assert said.endswith("nothing is new any more")
    host.withdraw("pipeline/rebuild/prod", "main", "nothing is new any more")
    assert len(double.on(2)) == 1


def test_a_withdrawal_whose_answer_was_lost_is_said_once(double: Host) -> None:
    host = api(double)
    host.propose("rebuild", "main", "Rebuild", "text")
    double.faults.append(Fault(silent(), method="POST", after=True))
    with pytest.raises(OutOfReach):
        host.withdraw("rebuild", "main", "merged by hand")
    host.withdraw("rebuild", "main", "merged by hand")
    assert (len(double.on(1)), double.open_pulls()) == (1, [])


def test_whoever_may_not_comment_closes_all_the_same(double: Host) -> None:
    host = api(double)
    host.propose("rebuild", "main", "Rebuild", "text")
    double.faults.append(Fault(answer(403, {"message": "not allowed"}), method="POST"))
    with pytest.raises(UsageError, match="comment"):
        host.withdraw("rebuild", "main", "merged by hand")
    assert double.open_pulls() == []


def test_open_requests_of_all_pages(double: Host) -> None:
    double.pulls += [Pull(n, f"topic{n}", "main", f"title {n}", fork=n == 3, open=n != 2) for n in range(1, 8)]
    found = api(double).requests()
    assert [one.number for one in found] == [1, 3, 4, 5, 6, 7]
    assert found[1] == Request(3, "c" * 40, "main", "title 3", "ada", found[1].url, fork=True)
    assert not found[0].fork


def test_what_did_not_change_costs_nothing_of_the_hosts_limit(double: Host) -> None:
    double.pulls += [Pull(n, f"topic{n}", "main", f"title {n}") for n in range(1, 4)]
    host = api(double)
    first = host.requests()
    asked = len(double.asked)
    assert host.requests() == first
    assert double.unchanged == len(double.asked) - asked == asked
    double.pulls[2].commit = "d" * 40
    assert host.requests()[2].commit == "d" * 40


def test_a_page_of_a_commit(double: Host) -> None:
    url = api(double).url(COMMIT)
    assert url.startswith(("https://github.com/", "https://gitlab.com/", "https://codeberg.org/", "https://dev.azure"))
    assert url.endswith(f"/commit/{COMMIT}")


def test_a_wrong_token_is_told_and_not_shown(double: Host) -> None:
    with pytest.raises(UsageError, match="not accepted") as caught:
        api(double, token="ghp_wrong").status(COMMIT, "success", "pipeline/prod", "", "")
    assert "ghp_wrong" not in str(caught.value)
    assert not caught.value.transient


def test_a_right_that_lacks_is_named(double: Host) -> None:
    for call in (
        lambda host: host.status(COMMIT, "success", "pipeline/prod", "", ""),
        lambda host: host.requests(),
        lambda host: host.propose("a", "main", "t", "b"),
        lambda host: host.comment(1, "plan", "b"),
    ):
        double.faults.append(Fault(answer(403, {"message": "Resource not accessible by this token"})))
        with pytest.raises(
            UsageError, match=r"Resource not accessible by this token \(403\) \(give its token the right"
        ):
            call(api(double))


@pytest.mark.parametrize("status", [404, 422])
def test_what_is_refused_is_no_use_to_try_again(double: Host, status: int) -> None:
    double.faults.append(Fault(answer(status, {"message": "No commit found for SHA"})))
    with pytest.raises(UsageError, match="No commit found for SHA"):
        api(double).status(COMMIT, "success", "pipeline/prod", "", "")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass_is_to_be_tried_again(double: Host, status: int) -> None:
    double.faults.append(Fault(answer(status, b"<html>bad gateway</html>")))
    with pytest.raises(OutOfReach) as caught:
        api(double).status(COMMIT, "success", "pipeline/prod", "", "")
    assert caught.value.transient


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"retry_after": "30"}, 30.0),
        (403, {"retry_after": "120"}, 120.0),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW) + 900)}, 900.0),
        (429, {"ratelimit_remaining": "0", "ratelimit_reset": str(int(NOW) + 45)}, 45.0),
        (429, {}, 60.0),
        (503, {"retry_after": "Tue, 14 Nov 2023 22:15:20 GMT"}, 120.0),
    ],
)
def test_a_limit_says_how_long_to_wait(double: Host, status: int, headers: dict[str, str], wait: float) -> None:
    double.faults.append(Fault(answer(status, {"message": "too many"}, **headers)))
    with pytest.raises(OutOfReach) as caught:
        api(double).requests()
    assert caught.value.retry_after == wait


def test_an_answer_that_is_no_json_or_not_as_documented(double: Host) -> None:
    for data in (b"<html>hello</html>", b'{"value": 3}', b"[1, 2]", b'{"value": [1]}', b"[" * 100_000):
        double.faults.append(Fault(answer(200, data)))
        with pytest.raises(OutOfReach):
            api(double).requests()


def test_a_moved_repository_is_followed_on_its_own_host_only(double: Host) -> None:
    host = api(double)
    double.faults.append(Fault(answer(307, {}, location=f"{double.root}/elsewhere")))
    with pytest.raises(AssertionError, match="no request that this host knows"):
        host.status(COMMIT, "success", "pipeline/prod", "", "")
    assert double.asked[-1] == ("POST", f"{double.root}/elsewhere")
    double.faults.append(Fault(answer(302, {}, location="https://login.example.com/signin")))
    with pytest.raises(UsageError, match=r"leads to login\.example\.com"):
        host.requests()
    assert not any("login.example.com" in url for _, url in double.asked)


def test_a_circle_of_redirects_ends(double: Host) -> None:
    double.faults.append(Fault(answer(301, {}, location=f"{double.root}/again"), count=50))
    with pytest.raises(UsageError, match="from one address to another"):
        api(double).requests()


def test_a_list_that_leads_to_another_host_is_not_followed() -> None:
    double = GitHubDouble()
    double.faults.append(Fault(answer(200, [], link='<https://evil.example.com/x>; rel="next"')))
    with pytest.raises(UsageError, match=r"leads to evil\.example\.com"):
        api(double).requests()


def test_azure_shows_a_page_to_sign_in_to_a_token_it_does_not_know() -> None:
    double = AzureDouble()
    double.faults.append(Fault(answer(203, b"<html>sign in</html>", content_type="text/html")))
    with pytest.raises(UsageError, match="token is not accepted"):
        api(double).requests()


def test_azure_takes_tokens_of_entra_as_they_are() -> None:
    double = AzureDouble()
    sent: list[str] = []
    double.authorized = lambda headers: bool(sent.append(headers["authorization"])) or True  # type: ignore[method-assign]
    api(double, token="eyJ0eXAi.eyJhdWQi.c2ln").requests()
    assert sent == ["Bearer eyJ0eXAi.eyJhdWQi.c2ln"]


def test_gitlab_does_not_take_every_refusal_for_the_same_status() -> None:
    double = GitLabDouble()
    host = api(double)
    refusal = {"message": 'Cannot transition status via :enqueue from :success (Reason(s): "enqueue")'}
    double.faults.append(Fault(answer(400, refusal)))
    with pytest.raises(UsageError, match="Cannot transition"):
        host.status(COMMIT, "pending", "pipeline/prod", "", "")


def test_github_enterprise_and_a_gitlab_of_ones_own() -> None:
    kinds = {
        "git@ghe.example.com:acme/models.git": ("github", "https://ghe.example.com/api/v3", "acme/models"),
        "https://git.example.com:8443/a/b/c.git": ("gitlab", "https://git.example.com:8443/api/v4", "a/b/c"),
        "ssh://git@git.example.com:2222/a/b.git": ("gitea", "https://git.example.com/api/v1", "a/b"),
        "https://tfs.example.com/tfs/C/P/_git/r": ("azure-devops", "https://tfs.example.com/tfs", "C/P/r"),
    }
    for url, wanted in kinds.items():
        assert host_of(url) == ("", "", "")
        assert host_of(url, wanted[0]) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "project"),
    [
        ("https://org@dev.azure.com/org/proj/_git/repo", "org/proj/repo"),
        ("https://dev.azure.com/org/_git/repo", "org/repo/repo"),
        ("git@ssh.dev.azure.com:v3/org/proj/repo", "org/proj/repo"),
        ("https://org.visualstudio.com/DefaultCollection/proj/_git/repo", "org/proj/repo"),
        ("org@vs-ssh.visualstudio.com:v3/org/proj/repo", "org/proj/repo"),
    ],
)
def test_all_addresses_of_azure_devops(url: str, project: str) -> None:
    assert host_of(url) == ("azure-devops", "https://dev.azure.com", project)


@pytest.mark.parametrize(
    "url",
    ["/srv/git/models", "file:///srv/git", "https://git.example.com/a/b", "https://github.com/acme", "", "https://["],
)
def test_what_has_no_api(url: str) -> None:
    assert host_of(url) == ("", "", "")
    assert api_of(Settings(), GitHubDouble(), lambda: NOW) is None


def test_without_a_token_there_is_no_api() -> None:
    assert api_of(Settings("github", "https://api.github.com", "acme/models"), GitHubDouble(), lambda: NOW) is None


# -- over the network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(URLS))
def test_over_a_real_connection(kind: str) -> None:
    made, url = URLS[kind]
    double = made()
    double.pulls += [Pull(n, f"topic{n}", "main", f"title {n}") for n in range(1, 6)]
    network = Http({})
    with serving(double, double.root) as root:
        settings = Settings(kind, root, host_of(url)[2], Secret(TOKEN))  # type: ignore[arg-type]
        host = api_of(settings, network, lambda: NOW)
        assert host is not None
        host.status(COMMIT, "success", "pipeline/prod", "done: 3 → 4", "")
        host.comment(4, "plan", "3 steps")
        host.comment(4, "plan", "5 steps")
        assert host.propose("rebuild", "main", "Rebuild", "text").endswith("/6")
        assert len(host.requests()) == 6
        network.close()
    assert double.statuses[COMMIT, "pipeline/prod"][1] == "done: 3 → 4"
    assert len(double.on(4)) == 1
    with pytest.raises(OutOfReach, match="does not answer"):
        host.requests()


def test_a_host_that_says_nothing_is_waited_for_in_bounds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        root = f"http://127.0.0.1:{server.getsockname()[1]}"
        host = api_of(Settings("github", root, "acme/models", Secret(TOKEN)), Http({}, read_timeout=0.05), lambda: NOW)
        assert host is not None
        with pytest.raises(OutOfReach) as caught:
            host.requests()
    assert caught.value.silent
    assert TOKEN not in str(caught.value)
