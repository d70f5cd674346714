"""Rollouts in the browser: one look says where it hurts, one button goes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web import world
from tests.web.conftest import Desk, _centre, open_desk
from tests.web.fleet import NAMES, SIZES
from tests.web.test_access import ASK, _axe

pytestmark = [pytest.mark.web, pytest.mark.system]


@pytest.fixture(scope="module")
def city(built: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a centre with a fleet and a rollout that halted."""
    yield from _centre(tmp_path_factory.mktemp("city"), "--fleet")


@pytest.fixture
def engineer(browser: Any, city: str, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A browser at that centre."""
    yield from open_desk(browser, city, world.NAME, request.node.name)


def test_rollout__the_wave_that_failed_is_open_and_says_why(engineer: Desk) -> None:
    engineer.go("/rollouts")
    page = engineer.page
    page.get_by_role("heading", name="Wave 3: what the gates say").wait_for()
    row = page.get_by_role("row", name=re.compile("install"))
    assert "fails" in row.inner_text() and "2 of 13 nodes failed" in row.inner_text()
    assert page.locator(".waves .square").count() == SIZES[-1]
    assert page.locator(".waves .square[data-stage=failed]").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rollout__has_nothing_serious(engineer: Desk, scheme: str) -> None:
    engineer.page.emulate_media(color_scheme=scheme)
    engineer.go("/rollouts/1")
    engineer.page.locator(".waves .square").first.wait_for()
    engineer.page.evaluate(_axe())
    assert engineer.page.evaluate(ASK) == []


def test_rollout__nodes_in_trouble_come_first(engineer: Desk) -> None:
    engineer.go("/rollouts/1")
    first = engineer.page.get_by_label("Nodes", exact=True).locator("tbody tr").first
    first.wait_for()
    assert NAMES[5] in first.inner_text() and "scores is off" in first.inner_text()


def test_rollout__plan_is_shown_before_it_starts(engineer: Desk) -> None:
    engineer.go("/rollouts")
    page = engineer.page
    page.get_by_role("button", name="New rollout").click()
    page.get_by_label("Waves").fill("1, 10%")
    page.get_by_text(re.compile("3 waves: 1 → ")).wait_for()
    page.get_by_label("Waves").fill("many")
    page.get_by_text("Numbers or percentages with commas").wait_for()
    assert page.get_by_role("button", name="Start").is_disabled()


def test_compare__what_changes_between_two_packs(engineer: Desk) -> None:
    engineer.go(f"/packs/compare?from={world.address(1)}&to={world.address(2)}")
    page = engineer.page
    page.get_by_role("row", name=re.compile("^ap50")).wait_for()
    assert "▲" in page.get_by_role("row", name=re.compile("^ap50")).inner_text()


def test_rollout__one_button_goes_back_with_a_reason(engineer: Desk) -> None:
    engineer.go("/rollouts/1")
    page = engineer.page
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why? (kept in the history)").fill("cars are missed at the bridge")
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_label("History").get_by_text("cars are missed at the bridge").wait_for()
    assert engineer.api.get("/rollouts/1").json()["state"] == "rolling_back"
