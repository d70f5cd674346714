"""Two people on one queue, in two browsers: nobody is in the other's way, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web import together, world
from tests.web.conftest import Desk, open_desk

pytestmark = pytest.mark.web
CURRENT = '.queue-item[aria-current="true"] img'


@pytest.fixture
def bo(browser: Any, centre: str, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A browser in which an annotator is logged in."""
    yield from open_desk(browser, centre, together.FIRST, f"{request.node.name}-bo")


def _current(desk: Desk) -> str:
    return str(desk.page.locator(CURRENT).get_attribute("src"))


def test_queue__two_people_get_two_frames(desk: Desk, bo: Desk) -> None:
    first = desk.review()
    desk.page.get_by_text("yours", exact=True).wait_for()
    bo.go("/review")
    bo.page.get_by_text("yours", exact=True).wait_for()
    assert first not in _current(bo)
    for person, frame in ((desk, first), (bo, _current(bo).split("/")[4])):
        person.page.get_by_test_id("canvas").focus()
        person.press("Enter")
        assert person.until(frame, "labelled")["boxes"]


def test_lease__of_somebody_else_is_shown_and_can_be_passed_by(desk: Desk, bo: Desk) -> None:
    desk.review()
    desk.page.get_by_text("yours", exact=True).wait_for()
    frame = _current(desk).split("/")[4]
    bo.go(f"/review/{frame}")
    notice = bo.page.get_by_role("status").filter(has_text="looks at this frame")
    notice.wait_for()
    assert world.NAME in notice.inner_text()
    assert bo.page.get_by_role("button", name="Take over").is_disabled()
    bo.page.get_by_test_id("canvas").focus()
    bo.press("Enter")
    assert bo.frame(frame)["state"] == "pending"
    bo.page.get_by_role("button", name="Next free frame").click()
    notice.wait_for(state="detached")
    assert frame not in _current(bo)


def test_lease__is_let_go_when_another_frame_is_chosen(desk: Desk, bo: Desk) -> None:
    desk.review()
    desk.page.get_by_text("yours", exact=True).wait_for()
    frame = _current(desk).split("/")[4]
    desk.page.locator(".queue-item").nth(3).click()
    desk.page.wait_for_timeout(500)
    assert bo.api.post(f"/frames/{frame}/lease").status_code == 200
    bo.api.delete(f"/frames/{frame}/lease")


def test_second_opinion__is_blind_and_marked(desk: Desk) -> None:
    frame = world.frame_id(together.WANTED)
    desk.go(f"/review/{frame}")
    desk.page.get_by_text("Second opinion.").wait_for()
    desk.page.locator(".canvas:focus").wait_for()
    assert desk.page.get_by_role("button", name="Rain unknown").is_visible()
    desk.press("i")
    desk.page.get_by_text("Not shown before you gave your own.").wait_for()
    desk.press("Escape")
    desk.page.get_by_test_id("canvas").focus()
    with desk.page.expect_response("**/labels") as answer:
        desk.press("Enter")
    assert answer.value.status == 200


def test_adjudication__shows_two_opinions_and_takes_one(desk: Desk) -> None:
    desk.go("/agreement")
    dispute = desk.page.get_by_label("Two opinions")
    dispute.get_by_text("They differ about").wait_for()
    assert "rain" in dispute.inner_text()
    desk.press("ArrowRight")
    desk.page.get_by_text("Decided: as cleo said.").wait_for()
    view = desk.frame(world.frame_id(together.DISPUTED))
    assert next(b["label"] for b in view["boxes"]) == "truck"
    assert view["tags"] == {"rain": "absent"}


def test_adjudication__is_not_for_annotators(bo: Desk) -> None:
    bo.go("/agreement")
    bo.page.get_by_role("heading", name="How far people agree").wait_for()
    assert bo.page.get_by_label("Two opinions").count() == 0
