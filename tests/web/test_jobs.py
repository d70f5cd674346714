"""The page of jobs: what runs, waits and is over; its log; stopping one and trying one again, by keyboard."""

from __future__ import annotations

import pytest

from tests.web.conftest import Desk

pytestmark = pytest.mark.web


def test_jobs__say_how_they_are(desk: Desk) -> None:
    desk.go("/jobs")
    running = desk.page.get_by_role("region", name="Running").get_by_role("listitem").first
    running.wait_for()
    assert "12800 of 20000 frames, 118 per second" in running.inner_text()
    assert desk.page.get_by_role("progressbar", name="Progress of Backlog looked at by street-4").is_visible()
    waiting = desk.page.get_by_role("region", name="Waiting").get_by_role("listitem").all_inner_texts()
    assert "next of its kind" in waiting[0]
    assert "no labelled image in it" in desk.page.get_by_role("region", name="Over").inner_text()


def test_jobs__show_a_log_by_keyboard(desk: Desk) -> None:
    desk.go("/jobs")
    head = desk.page.get_by_role("button", name="failed Training of night cameras")
    head.focus()
    desk.press("Enter")
    log = desk.page.get_by_label("Log of Training of night cameras")
    log.wait_for()
    assert log.inner_text() == "reading truth.json\nTraceback: no labelled image"


def test_jobs__one_that_waits_is_taken_out_and_put_back(desk: Desk) -> None:
    desk.go("/jobs")
    desk.page.get_by_role("button", name="Take out: Backlog looked at by street-3").click()
    again = desk.page.get_by_role("button", name="Try again: Backlog looked at by street-3")
    again.wait_for()
    assert "cancelled before it began" in desk.page.get_by_role("region", name="Over").inner_text()


def test_jobs__a_backlog_without_a_released_pack_says_so(newcomer: Desk) -> None:
    newcomer.go("/jobs")
    newcomer.page.get_by_role("heading", name="No job yet").wait_for()
    newcomer.page.get_by_role("button", name="Look at the backlog").click()
    newcomer.page.get_by_role("button", name="Start").click()
    assert "No pack is released" in newcomer.page.get_by_role("alert").inner_text()
