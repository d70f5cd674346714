"""An annotator at work in a real browser, on a real centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.web.conftest import Desk

pytestmark = pytest.mark.web


def _labels(view: dict[str, Any]) -> list[str]:
    return sorted(box["label"] for box in view["boxes"])


def _touches(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _free(view: dict[str, Any]) -> tuple[float, float]:
    """Return a frame pixel with 60 pixels of free ground to its right and below."""
    for y in range(5, view["height"] - 70, 10):
        for x in range(5, view["width"] - 70, 10):
            if not any(_touches((x - 8, y - 8, x + 68, y + 68), b["box"]) for b in view["boxes"]):
                return x, y
    raise AssertionError("no free ground")


def test_accept__stores_all_proposals_and_shows_the_next_frame(desk: Desk) -> None:
    frame = desk.review()
    proposals = desk.frame(frame)["boxes"]
    following = desk.queue()[1]["id"]
    desk.press("Enter")
    view = desk.until(frame, "labelled")
    assert _labels(view) == sorted(b["label"] for b in proposals)
    assert all(box["confirmed"] for box in view["boxes"])
    assert sorted(view["complete_for"]) == ["bus", "car", "person", "truck", "two_wheeler"]
    assert following in desk.page.locator('.queue-item[aria-current="true"] img').get_attribute("src")


def test_draw__a_drag_on_free_ground_makes_a_label_of_the_chosen_class(desk: Desk) -> None:
    frame = desk.review()
    x, y = _free(desk.frame(frame))
    desk.press("5")
    desk.drag((x, y), (x + 50, y + 40))
    desk.press("Enter")
    drawn = [b for b in desk.until(frame, "labelled")["boxes"] if b["label"] == "truck"]
    assert len(drawn) == 1
    assert drawn[0]["box"] == pytest.approx([x, y, x + 50, y + 40], abs=2)


def test_draw_mode__draws_on_top_of_a_box(desk: Desk) -> None:
    frame = desk.review()
    bus = next(b for b in desk.frame(frame)["boxes"] if b["label"] == "bus")["box"]
    desk.press("4", "d")
    desk.drag((bus[0] + 20, bus[1] + 20), (bus[0] + 60, bus[1] + 60))
    desk.press("Enter")
    assert _labels(desk.until(frame, "labelled")) == ["bus", "bus", "car", "person"]


def test_move__by_mouse_and_arrows(desk: Desk) -> None:
    frame = desk.review()
    before = next(b for b in desk.frame(frame)["boxes"] if b["label"] == "person")["box"]
    middle = ((before[0] + before[2]) / 2, (before[1] + before[3]) / 2)
    desk.page.mouse.click(*desk.at(*middle))
    desk.press("Shift+ArrowLeft", "ArrowUp")
    desk.press("Enter")
    after = next(b for b in desk.until(frame, "labelled")["boxes"] if b["label"] == "person")["box"]
    assert after == pytest.approx([before[0] - 10, before[1] - 1, before[2] - 10, before[3] - 1], abs=0.2)


def test_resize__by_a_handle(desk: Desk) -> None:
    frame = desk.review()
    x, y = _free(desk.frame(frame))
    desk.press("2")
    desk.drag((x, y), (x + 30, y + 30))
    desk.drag((x + 30, y + 30), (x + 55, y + 45))
    desk.press("Enter")
    drawn = next(b for b in desk.until(frame, "labelled")["boxes"] if b["label"] == "two_wheeler")
    assert drawn["box"] == pytest.approx([x, y, x + 55, y + 45], abs=2.5)


def test_relabel_and_delete__by_keyboard_alone(desk: Desk) -> None:
    frame = desk.review()
    order = sorted(desk.frame(frame)["boxes"], key=lambda b: (b["box"][1], b["box"][0]))
    desk.press("Tab", "5", "Tab", "Delete", "c", "Enter")
    view = desk.until(frame, "labelled")
    assert _labels(view) == sorted(["truck", order[2]["label"]])
    assert view["complete_for"] == []
    desk.review()
    desk.press("c")


def test_undo__takes_back_what_was_deleted(desk: Desk) -> None:
    desk.review()
    count = desk.lines().count()
    desk.press("Tab", "Backspace")
    assert desk.lines().count() == count - 1
    desk.press("z")
    assert desk.lines().count() == count
    desk.press("Shift+Z")
    assert desk.lines().count() == count - 1
    desk.press("z")


def test_skip__puts_the_frame_aside(desk: Desk) -> None:
    frame = desk.review()
    desk.press("s")
    assert desk.until(frame, "skipped")["revision"] == 1


def test_draft__survives_a_reload(desk: Desk) -> None:
    desk.review()
    count = desk.lines().count()
    desk.press("n")
    desk.page.wait_for_timeout(600)
    desk.page.reload()
    desk.page.get_by_text("your unfinished work is back").wait_for()
    assert desk.lines().count() == count + 1


@pytest.mark.parametrize(
    ("button", "expected"), [("Keep theirs", ["car"]), ("Use mine instead", ["bus", "car", "person"])]
)
def test_conflict__the_person_chooses(desk: Desk, button: str, expected: list[str]) -> None:
    frame = desk.review()
    theirs = {"revision": 0, "boxes": [{"box": [1, 1, 50, 50], "label": "car"}], "complete_for": []}
    assert desk.api.put(f"/frames/{frame}/labels", json=theirs).status_code == 200
    desk.press("Enter")
    desk.page.get_by_role("dialog").get_by_text("Somebody else changed this frame").wait_for()
    desk.page.get_by_role("button", name=button).click()
    desk.page.get_by_role("dialog").wait_for(state="detached")
    desk.page.wait_for_timeout(300)
    assert _labels(desk.frame(frame)) == expected


def test_lost_connection__work_is_kept_and_sent_later(desk: Desk) -> None:
    frame = desk.review()
    desk.page.context.set_offline(True)
    desk.press("Enter")
    desk.page.get_by_text("Connection to the centre lost.").wait_for()
    assert desk.page.get_by_text("1 frame kept in this browser").is_visible()
    assert desk.frame(frame)["state"] == "pending"
    desk.page.context.set_offline(False)
    desk.until(frame, "labelled")
    desk.page.get_by_text("Connection to the centre lost.").wait_for(state="detached")


def test_lost_connection__unsent_work_survives_a_closed_tab(desk: Desk) -> None:
    frame = desk.review()
    desk.page.route("**/labels", lambda route: route.abort())
    desk.press("Enter")
    desk.page.get_by_text("1 frame kept in this browser").wait_for()
    desk.page.unroute("**/labels")
    context = desk.page.context
    desk.page.close()
    desk.page = context.new_page()
    desk.go("/")
    desk.until(frame, "labelled")


def test_help__shows_the_keys_and_gives_them_back(desk: Desk) -> None:
    frame = desk.review()
    desk.press("?")
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_text("accept all boxes that are not faint").wait_for()
    desk.press("Enter")
    dialog.wait_for(state="detached")
    assert desk.frame(frame)["state"] == "pending"


def test_previous__opens_the_frame_before(desk: Desk) -> None:
    frame = desk.review()
    desk.press("Enter")
    desk.until(frame, "labelled")
    desk.press("p")
    desk.page.get_by_text("already labelled").wait_for()
    assert frame in desk.page.locator('.queue-item[aria-current="true"] img').get_attribute("src")


def test_viewer__may_look_but_not_label(guest: Desk) -> None:
    frame = guest.review()
    guest.page.get_by_text("Your role may look, but not label.").wait_for()
    guest.press("Enter")
    assert guest.frame(frame)["state"] == "pending"
