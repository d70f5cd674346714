"""An annotator with all tools of the review page, in a real browser on a real centre."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Desk

pytestmark = pytest.mark.web


def _outline(desk: Desk, corners: list[tuple[float, float]]) -> None:
    desk.press("m")
    for corner in corners:
        desk.page.mouse.click(*desk.at(*corner))


def _masked(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [b for b in view["boxes"] if b["mask"]]


def test_mask__an_outline_becomes_a_box_with_a_mask(desk: Desk) -> None:
    frame = desk.review()
    desk.press("4")
    _outline(desk, [(40, 20), (120, 20), (80, 70)])
    desk.press("Enter", "Enter")
    (box,) = _masked(desk.until(frame, "labelled"))
    assert box["label"] == "bus"
    assert box["box"] == pytest.approx([40, 20, 120, 70], abs=2)
    assert [len(ring) for ring in box["mask"]] == [3]


def test_mask__the_first_point_closes_it_and_a_point_can_be_moved_and_deleted(desk: Desk) -> None:
    frame = desk.review()
    corners = [(40.0, 20.0), (140.0, 20.0), (140.0, 70.0), (40.0, 70.0)]
    _outline(desk, [*corners, corners[0]])
    desk.drag(corners[2], (160, 90))
    desk.page.mouse.click(*desk.at(*corners[3]))
    desk.press("Delete", "Enter")
    (box,) = _masked(desk.until(frame, "labelled"))
    assert len(box["mask"][0]) == 3
    assert box["box"] == pytest.approx([40, 20, 160, 90], abs=2)


def test_mask__undo_takes_the_whole_outline_back(desk: Desk) -> None:
    desk.review()
    count = desk.lines().count()
    _outline(desk, [(40, 20), (120, 20), (80, 70)])
    desk.press("Enter")
    assert desk.lines().count() == count + 1
    desk.press("z")
    assert desk.lines().count() == count


def test_tags__three_states_by_one_key(desk: Desk) -> None:
    frame = desk.review()
    desk.press("Shift+Digit1", "Shift+Digit2", "Shift+Digit2", "Shift+Digit3", "Shift+Digit3", "Shift+Digit3")
    desk.page.get_by_role("button", name="Rain present").wait_for()
    desk.press("Enter")
    assert desk.until(frame, "labelled")["tags"] == {"rain": "present", "snow": "absent"}


def test_confidence__faint_proposals_are_dropped_on_accept(desk: Desk) -> None:
    frame = desk.review()
    scores = sorted(b["score"] for b in desk.frame(frame)["boxes"])
    least = 0.05 * int((scores[0] + scores[1]) / 2 / 0.05 + 0.5)
    if not scores[0] < least <= scores[1]:
        pytest.skip("the first frame has no two scores that a step of the slider parts")
    slider = desk.page.get_by_label("Accept proposals from")
    slider.fill(f"{least:.2f}")
    desk.page.get_by_text("1 faint one dropped").wait_for()
    desk.page.get_by_test_id("canvas").focus()
    desk.press("Enter")
    view = desk.until(frame, "labelled")
    assert len(view["boxes"]) == len(scores) - 1
    desk.page.evaluate("localStorage.removeItem('wayside.least')")


def test_confidence__accept_above_is_one_step_to_undo(desk: Desk) -> None:
    desk.review()
    count = desk.lines().count()
    desk.page.get_by_label("Accept proposals from").fill("0.95")
    desk.page.get_by_test_id("canvas").focus()
    desk.press("a")
    assert desk.lines().count() < count
    desk.press("z")
    assert desk.lines().count() == count
    desk.page.evaluate("localStorage.removeItem('wayside.least')")


def test_copy__takes_the_labels_of_the_last_answered_frame_of_the_camera(desk: Desk) -> None:
    queue = desk.queue()
    first, second = [f for f in queue if f["camera"] == queue[0]["camera"]][:2]
    body = {"revision": first["revision"], "boxes": [{"box": [2, 2, 30, 22], "label": "truck"}], "complete_for": []}
    assert desk.api.put(f"/frames/{first['id']}/labels", json=body).status_code == 200
    desk.look_at(f"/review/{second['id']}")
    desk.press("v")
    desk.page.locator(".box-line", has_text="copy").wait_for()
    desk.press("Enter")
    boxes = desk.until(second["id"], "labelled")["boxes"]
    assert [b["box"] for b in boxes if b["label"] == "truck"] == [[2, 2, 30, 22]]


def test_track__says_so_where_there_is_nothing_to_track_from(desk: Desk) -> None:
    other = next(f for f in desk.queue() if f["node"] == "harbour-2")
    desk.look_at(f"/review/{other['id']}")
    desk.press("t")
    desk.page.locator(".mantine-Notification-root").first.wait_for()


def test_cant_tell__is_told_apart_from_skipped(desk: Desk) -> None:
    frame = desk.review()
    desk.press("u")
    desk.until(frame, "skipped")
    states = [item["state"] for item in desk.api.get(f"/frames/{frame}/history").json()["items"]]
    assert states == ["cant_tell"]


def test_flag__with_a_note_and_off_again(desk: Desk) -> None:
    frame = desk.review()
    desk.press("f")
    desk.page.get_by_label("What should they look at?").fill("is this a tram?")
    desk.press("Enter")
    notice = desk.page.get_by_role("status").filter(has_text="is this a tram?")
    notice.wait_for()
    assert desk.frame(frame)["flag"]["note"] == "is this a tram?"
    desk.press("f")
    notice.wait_for(state="detached")
    assert desk.frame(frame)["flag"] is None


def test_history__puts_a_former_answer_on_the_screen(desk: Desk) -> None:
    frame = desk.review()
    desk.press("Enter")
    before = desk.until(frame, "labelled")
    desk.look_at(f"/review/{frame}")
    desk.press("Tab", "Delete", "i")
    desk.page.get_by_role("button", name="Put it on the screen").click()
    desk.page.get_by_role("dialog").wait_for(state="detached")
    assert desk.lines().count() == len(before["boxes"])


def test_brightness__changes_the_picture_and_goes_back(desk: Desk) -> None:
    desk.review()
    ground = desk.page.locator(".canvas canvas").first
    desk.press(".", ".", "k")
    assert ground.evaluate("e => e.style.filter") == "brightness(1.3) contrast(1.15)"
    desk.press("r")
    assert ground.evaluate("e => e.style.filter") == "brightness(1) contrast(1)"


def test_seconds__are_told(desk: Desk) -> None:
    frame = desk.review()
    desk.page.wait_for_timeout(1_200)
    with desk.page.expect_request("**/labels") as sent:
        desk.press("Enter")
    assert 1 <= sent.value.post_data_json["seconds"] < 120
    desk.until(frame, "labelled")


def test_draft__is_at_the_centre_after_a_few_seconds(desk: Desk) -> None:
    frame = desk.review()
    with desk.page.expect_response("**/draft"):
        desk.press("n")
    count = desk.lines().count()
    assert len(desk.frame(frame)["draft"]["boxes"]) == count
    desk.page.evaluate("localStorage.clear()")
    desk.page.reload()
    desk.page.get_by_text("your unfinished work is back").wait_for()
    assert desk.lines().count() == count
