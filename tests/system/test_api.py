"""The whole API against its own description: whatever is sent to a running centre, nothing is the centre's fault, and
what it answers is described."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from central.api.app import PREFIX, create_app
from tests.web import world
from tests.web.conftest import _centre

pytestmark = pytest.mark.system
EXAMPLES: Final = int(os.environ.get("API_EXAMPLES", "8"))
"""Requests per operation; ``API_EXAMPLES=200`` is the long set."""
CHECKS: Final = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
UNENDING: Final = f"{PREFIX}/events"
ENDS: Final = (("DELETE", f"{PREFIX}/session"), ("PUT", f"{PREFIX}/session/password"))
"""What would log the test out, or change its password."""
described = schemathesis.openapi.from_dict(create_app().openapi()).exclude(path=UNENDING)


@dataclass(frozen=True)
class Login:
    """A centre and an admin's token."""

    url: str
    token: str


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """A running centre with frames, packs and a rollout."""
    running = _centre(tmp_path_factory.mktemp("api"), "--fleet")
    url = next(running)
    body = {"name": world.NAME, "password": world.PASSWORD}
    yield Login(url, httpx.post(f"{url}{PREFIX}/session", json=body, timeout=60).json()["token"])
    running.close()  # type: ignore[attr-defined]


@described.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate], database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_api__no_request_is_the_centres_fault_and_every_answer_is_described(case: Any, login: Login) -> None:
    if (case.method, case.path) in ENDS:
        return
    case.call_and_validate(base_url=login.url, headers={"Authorization": f"Bearer {login.token}"}, checks=CHECKS)
