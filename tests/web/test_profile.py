"""Editing what is labelled, in a real browser."""

from __future__ import annotations

import re

import pytest

from tests.web.conftest import Desk

pytestmark = [pytest.mark.web, pytest.mark.system]


def _open(desk: Desk) -> None:
    desk.go("/profile")
    desk.page.get_by_label("Name of label 1").wait_for()


def test_profile__a_rename_says_what_it_does_and_reaches_frames(desk: Desk) -> None:
    frame = desk.queue()[0]
    body = {"revision": frame["revision"], "boxes": [{"box": [9, 9, 60, 60], "label": "bus"}], "complete_for": []}
    assert desk.api.put(f"/frames/{frame['id']}/labels", json=body).status_code == 200
    _open(desk)
    page = desk.page
    page.get_by_label("Name of label 4").fill("coach")
    page.get_by_label("What saving does").get_by_text(re.compile(r"label bus becomes coach: \d+ box")).wait_for()
    page.get_by_label("Note", exact=True).fill("as the operator says it")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("History").get_by_text("as the operator says it").wait_for()
    boxes = desk.api.get(f"/frames/{frame['id']}").json()["boxes"]
    assert [b["label"] for b in boxes if b["confirmed"]] == ["coach"]


def test_profile__what_is_wrong_stands_beside_its_field(desk: Desk) -> None:
    _open(desk)
    page = desk.page
    page.get_by_role("button", name="Add a label").click()
    page.get_by_label("Name of label 6").fill("person")
    page.get_by_text("“person” is there twice.").wait_for()
    assert page.get_by_role("button", name="1 to mend").is_disabled()
    assert page.get_by_label("Name of label 6").get_attribute("aria-invalid") == "true"


def test_profile__a_removal_asks_and_warns(desk: Desk) -> None:
    frame = desk.queue()[0]
    body = {"revision": frame["revision"], "boxes": [{"box": [9, 9, 60, 60], "label": "truck"}], "complete_for": []}
    assert desk.api.put(f"/frames/{frame['id']}/labels", json=body).status_code == 200
    _open(desk)
    page = desk.page
    page.get_by_role("button", name="Remove truck").click()
    page.get_by_role("menuitem", name="Remove, and take it off all of them").click()
    page.get_by_text(re.compile(r"label truck is removed: \d+ box.*all taken off")).wait_for()
    assert page.get_by_role("button", name="Save, and lose these labels").is_enabled()


def test_profile__somebody_else_was_quicker(desk: Desk) -> None:
    _open(desk)
    page = desk.page
    page.get_by_label("Title of tag 1").fill("Rainfall")
    now = desk.api.get("/profile").json()
    answer = desk.api.put("/profile", json={"version": now["version"], "profile": now["profile"], "note": "first"})
    assert answer.status_code == 200
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("alert").get_by_text(re.compile("Somebody else saved version")).wait_for()
    page.get_by_role("button", name="Start again from it").click()
    page.get_by_label("Title of tag 1").wait_for()
    assert page.get_by_label("Title of tag 1").input_value() == "Rain"


def test_profile__a_viewer_only_looks(guest: Desk) -> None:
    _open(guest)
    guest.page.get_by_text("Engineers change the profile.").wait_for()
    assert guest.page.get_by_role("button", name="Add a label").count() == 0


def test_rounds__say_why_a_pack_is_not_offered(desk: Desk) -> None:
    desk.go("/rounds")
    page = desk.page
    page.get_by_label("Round round-1").get_by_role("button").first.click()
    verdict = page.get_by_label("Round round-1").get_by_label("Verdict")
    verdict.get_by_text("forgetting speaks against it").first.wait_for()
    verdict.get_by_text("bus lost 3.1 AP").wait_for()
    href = verdict.get_by_role("link", name=re.compile("^Report")).get_attribute("href")
    assert href == "/api/v1/rounds/round-1/report"
