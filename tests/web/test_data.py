"""Finding frames, and looking after people, in the browser."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.web import world
from tests.web.conftest import Desk

pytestmark = [pytest.mark.web, pytest.mark.system]


def test_data__filters_narrow_what_is_found_and_stay_in_the_address(desk: Desk) -> None:
    desk.go("/data")
    page = desk.page
    page.locator(".tile").first.wait_for()
    everything = desk.api.get("/search").json()["total"]
    assert page.get_by_role("status").filter(has_text=f"{everything} frames").count() == 1
    page.get_by_label("Camera", exact=True).first.click()
    page.get_by_role("option", name=re.compile("market")).click()
    page.wait_for_url(re.compile("camera=centre-1%2Fmarket"))
    found = desk.api.get("/search", params={"node": "centre-1", "camera": "market"}).json()["total"]
    page.get_by_role("status").filter(has_text=f"{found} frame").wait_for()
    assert 0 < found < everything
    page.reload()
    page.get_by_role("status").filter(has_text=f"{found} frame").wait_for()
    page.get_by_role("button", name="Clear all filters").click()
    page.get_by_role("status").filter(has_text=f"{everything} frames").wait_for()


def test_data__a_frame_leads_to_its_review(desk: Desk) -> None:
    desk.go("/data")
    desk.page.locator(".tile a").first.click()
    desk.page.wait_for_url(re.compile("/review/"))


def test_data__a_snapshot_is_taken_and_named(desk: Desk) -> None:
    desk.go("/data")
    page = desk.page
    page.get_by_role("button", name="Take a snapshot").click()
    page.get_by_label("Name (optional)").fill("before the winter")
    page.get_by_role("button", name="Take it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert desk.api.get("/snapshots").json()["items"][0]["name"] == "before the winter"


def test_people__somebody_is_let_in_and_shut_out(desk: Desk, centre: str) -> None:
    desk.go("/people")
    page = desk.page
    page.get_by_role("button", name="Let somebody in").click()
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Other roles at sites (optional)").fill("harbour=engineer")
    page.get_by_role("button", name="Let in", exact=True).click()
    password = page.locator(".once").inner_text()
    page.get_by_role("button", name="Done").click()
    body = {"name": "ann", "password": password}
    assert httpx.post(f"{centre}/api/v1/session", json=body, timeout=60).status_code == 200
    page.get_by_role("row", name=re.compile("^ann")).get_by_role("button", name="Change").click()
    page.get_by_role("button", name="Shut out now").click()
    page.get_by_role("row", name=re.compile("^ann")).get_by_text("shut out").wait_for()
    assert httpx.post(f"{centre}/api/v1/session", json=body, timeout=60).status_code == 401


def test_people__a_viewer_sees_their_own_tokens_alone(guest: Desk) -> None:
    guest.go("/people")
    page = guest.page
    page.get_by_text("Admins look after people").wait_for()
    page.get_by_role("button", name="New token").click()
    page.get_by_label("What is it for?").fill("wall")
    page.get_by_role("button", name="Make it").click()
    page.locator(".once").wait_for()
    page.get_by_role("button", name="Done").click()
    page.get_by_text(re.compile("token of guest, viewer at most")).wait_for()
    assert world.NAME not in page.get_by_label("Programs").inner_text()
