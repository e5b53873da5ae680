"""Which lines of /etc/passwd and /etc/group are Podman's own."""

from __future__ import annotations

import pytest

from pipeline.engine.accounts import is_given

PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


@pytest.mark.parametrize(
    ("before", "after", "given"),
    [
        (PASSWD, PASSWD, True),
        (PASSWD, PASSWD + b"1000:*:1000:0:container user:/tmp:/bin/sh\n", True),
        (PASSWD.strip(), PASSWD + b"1000:*:1000:0:container user:/tmp:/bin/sh\n", True),
        (b"root:x:0:\n", b"root:x:0:\n1000:x:1000:1000\n", True),
        (PASSWD, PASSWD + b"bob:x:1000:1000::/home/bob:/bin/sh\n", False),
        (PASSWD, PASSWD + b"1000:*:1000:0:container user:/tmp:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n", False),
        (b"root:x:0:\n", b"root:x:0:\nbob:x:1000:\n", False),
        (PASSWD, b"", False),
        (PASSWD, b"toor" + PASSWD, False),
    ],
)
def test_what_podman_adds(before: bytes, after: bytes, given: bool) -> None:
    assert is_given(before, after) is given
