"""The API against its own description, by schemathesis: with a token that may act, one that may look, and none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection
from webmaker import ACT, LOOK, TOKENS, Web

from pipeline.serve.settings import Access
from pipeline.serve.web.describe import described

_LENIENT = [negative_data_rejection]
QUICK, LONG = 15, 400
_LIMITS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    # Not on loopback: what plays the client asks for a name of its own.
    access = Access(tokens=TOKENS, certificate=Path("tls.crt"), key=Path("tls.key"))
    return Web(tmp_path_factory.mktemp("fuzz"), access, host="0.0.0.0").fill()


class Current:
    """The application of the test that goes on: schemathesis wants one before there are tests."""

    app: Any = None

    async def __call__(self, *asgi: Any) -> None:
        await Current.app(*asgi)


api = schemathesis.openapi.from_dict(described())
api.app = Current()


def holds(web: Web, case: Any, token: str) -> None:
    Current.app = web.app
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = case.call(headers=headers)
    # 60.0 is an integer for JSON Schema; what makes wrong requests takes it for one.
    whole = ".0" in str(response.request.url)
    case.validate_response(response, headers=headers, excluded_checks=_LENIENT if whole else [])
    assert response.status_code < 500
    if not token:
        assert response.status_code in (401, 405)


@api.parametrize()
@settings(max_examples=QUICK, **_LIMITS)
def test_who_may_act_gets_what_is_described(web: Web, case: Any) -> None:
    holds(web, case, ACT)


@api.parametrize()
@settings(max_examples=QUICK // 3, **_LIMITS)
def test_who_may_look_gets_what_is_described(web: Web, case: Any) -> None:
    holds(web, case, LOOK)


@api.parametrize()
@settings(max_examples=QUICK // 3, **_LIMITS)
def test_nobody_gets_nothing(web: Web, case: Any) -> None:
    holds(web, case, "")


@pytest.mark.long
@api.parametrize()
@settings(max_examples=LONG, **_LIMITS)
def test_who_may_act_gets_what_is_described_always(web: Web, case: Any) -> None:
    holds(web, case, ACT)
