"""Users and groups as sysusers.d and adduser make them."""

from __future__ import annotations

import pytest

from pipeline.assemble.deb_users import Accounts, User, apply_command, apply_sysusers, render


@pytest.fixture
def accounts() -> Accounts:
    return Accounts.parse("root:*:0:0:root:/root:/bin/bash\n", "root:*:0:\nusers:*:100:\nvideo:*:44:\n")


def test_sysusers_count_down(accounts: Accounts) -> None:
    apply_sysusers(accounts, '# x\nu one - "One Service" /var/one\nu two 55:44\ng three -\nm one video\nu root 0\n')
    assert accounts.users["one"] == User("one", 999, 999, "One Service", "/var/one")
    assert (accounts.users["two"].uid, accounts.users["two"].gid) == (55, 44)
    assert accounts.groups["three"].gid == 998
    assert accounts.groups["video"].members == ["one"]


def test_adduser_counts_up(accounts: Accounts) -> None:
    apply_command(accounts, ["adduser", "--system", "--quiet", "--no-create-home", "a"])
    home = apply_command(accounts, ["/usr/sbin/adduser", "--system", "--group", "--home", "/var/lib/b", "b"])
    assert (accounts.users["a"].uid, accounts.users["a"].gid, accounts.users["a"].shell) == (
        101,
        65534,
        "/usr/sbin/nologin",
    )
    assert accounts.users["b"].uid == accounts.groups["b"].gid == 102
    assert home is accounts.users["b"]


def test_groups_and_members(accounts: Accounts) -> None:
    apply_command(accounts, ["addgroup", "--system", "_ssh"])
    apply_command(accounts, ["adduser", "--quiet", "root", "_ssh"])
    assert accounts.groups["_ssh"].members == ["root"] and accounts.groups["_ssh"].gid == 101


def test_commands_that_are_not_wholly_known_change_nothing(accounts: Accounts) -> None:
    before = render(accounts)
    apply_command(accounts, ["adduser", "--system", "\0"])
    apply_command(accounts, ["adduser", "person"])
    apply_sysusers(accounts, "u 'unclosed\n\nu\n")
    assert render(accounts) == before


def test_the_files(accounts: Accounts) -> None:
    files = render(accounts)
    assert files["passwd"] == "root:x:0:0:root:/root:/bin/bash\n"
    assert files["shadow"] == "root:*::0:99999:7:::\n"
    assert files["gshadow"].splitlines()[0] == "root:*::"
