"""What is stored, and rules that are seen before they count, in a real browser."""

from __future__ import annotations

import pytest

from tests.web.conftest import Desk

pytestmark = pytest.mark.web


def test_storage__a_rule_is_seen_before_it_is_set(desk: Desk) -> None:
    desk.go("/storage")
    page = desk.page
    page.locator("table.storage tbody tr").first.wait_for()
    page.get_by_text("by age").click()
    page.get_by_role("button", name="Change the rule of Every site").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Frames nobody answered").fill("3650")
    dialog.get_by_role("button", name="See what would go").click()
    dialog.get_by_text("The next run would delete 0 frames").wait_for()
    dialog.get_by_label("Skipped frames").fill("3000")  # a change asks for another look
    assert dialog.get_by_role("button", name="Set this rule").count() == 0
    dialog.get_by_role("button", name="See what would go").click()
    dialog.get_by_role("button", name="Set this rule").click()
    page.get_by_label("Retention").get_by_text("frames nobody answered: 3\u202f650 days").wait_for()
    rules = desk.api.get("/retention").json()["rules"]
    assert [(r["site"], r["unlabelled_days"], r["skipped_days"]) for r in rules] == [("every-site", 3650, 3000)]
    page.get_by_role("button", name="Take back").first.click()
    page.get_by_text("everything is kept").wait_for()
