"""Cameras on the map and over time, in a real browser."""

from __future__ import annotations

import re

import pytest

from tests.web import world
from tests.web.conftest import Desk
from tests.web.places import FOGGED

pytestmark = [pytest.mark.web, pytest.mark.system]
CAMERA = f"/cameras/centre-1/{FOGGED}"


def test_map__leads_to_a_camera_by_keyboard(desk: Desk) -> None:
    desk.go("/")
    plan = desk.page.get_by_label("Map")
    spot = plan.get_by_role("link", name=re.compile(f"^{FOGGED} of centre-1"))
    spot.focus()
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_url(re.compile(CAMERA))


def test_map__cameras_on_one_post_are_one_mark_that_lists_them(desk: Desk) -> None:
    desk.go("/")
    mark = desk.page.get_by_role("button", name=re.compile("^2 cameras here, the worst: failed"))
    mark.focus()
    desk.page.keyboard.press("Enter")
    desk.page.get_by_role("menuitem", name=re.compile("tunnel-in failed")).wait_for()
    assert desk.page.get_by_role("menuitem").count() == 2


def test_map__moves_by_keyboard_and_shows_all_again(desk: Desk) -> None:
    desk.go("/")
    plan = desk.page.get_by_role("group", name=re.compile("^Plan of the cameras"))
    spot = plan.get_by_role("link", name=re.compile(f"^{FOGGED}"))
    before = spot.bounding_box()
    plan.focus()
    desk.page.keyboard.press("ArrowRight")
    moved = spot.bounding_box()
    assert before is not None and moved is not None
    assert moved["x"] == pytest.approx(before["x"] - 80, abs=2)
    desk.page.keyboard.press("0")
    assert spot.bounding_box() == before


def test_overview__trends_come_from_the_centre(desk: Desk) -> None:
    desk.go("/")
    line = desk.page.get_by_label("Camera quay-east").locator(".spark path").first
    line.wait_for(state="attached")
    assert len(re.findall("[ML]", line.get_attribute("d") or "")) > 15


def test_overview__says_which_camera_drifts(desk: Desk) -> None:
    desk.go("/")
    badge = desk.page.get_by_label(f"Camera {FOGGED}").get_by_text("drifts")
    badge.wait_for()
    assert badge.get_attribute("title") == "blur rose from 0.28 to 0.59"


def test_camera__frames_by_arrow_keys_lead_to_review(desk: Desk) -> None:
    desk.go(CAMERA)
    page = desk.page
    marks = page.get_by_role("group", name=re.compile("^Stored frames")).get_by_role("button")
    marks.last.wait_for()
    marks.last.focus()
    first = page.get_by_label("Frame", exact=True).inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_label("Frame", exact=True).inner_text() != first
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/review/"))


def test_camera__range_stays_in_the_address(desk: Desk) -> None:
    desk.go(CAMERA)
    page = desk.page
    page.get_by_label("Timeline", exact=True).wait_for()
    page.get_by_text("Hour", exact=True).click()
    page.wait_for_url(re.compile("range=hour"))
    with page.expect_response("**/timeline?*"):
        page.get_by_role("button", name="Earlier").click()
    page.wait_for_url(re.compile("to="))
    page.locator("[aria-label=Timeline][aria-busy=false]").wait_for()
    shown = page.locator(".chart-range").inner_text()
    page.reload()
    page.locator(".chart-range").wait_for()
    assert page.locator(".chart-range").inner_text() == shown


def test_camera__tells_what_was_wrong_and_that_it_drifts(desk: Desk) -> None:
    desk.go(CAMERA)
    wrong = desk.page.get_by_label("What was wrong").get_by_role("listitem")
    wrong.first.wait_for()
    assert [line.split(" from ")[0] for line in wrong.all_inner_texts()] == ["moved", "out of focus", "node offline"]
    drift = desk.page.get_by_label("Drift", exact=True)
    drift.get_by_text("blur rose from 0.28 to 0.59").wait_for()


def test_camera__lines_are_told_in_words(desk: Desk) -> None:
    desk.go(CAMERA)
    desk.page.get_by_role("img", name=re.compile(r"^blur: all assessed frames 0\.\d\d on average")).wait_for()


def test_camera__that_is_not_there(desk: Desk) -> None:
    desk.go("/cameras/centre-1/nowhere")
    desk.page.get_by_role("alert").get_by_text(re.compile("^No camera nowhere of node centre-1")).wait_for()


def test_question__one_key_answers_and_the_next_frame_comes(desk: Desk) -> None:
    frame = world.frame_id(21)
    desk.go(f"/review/{frame}")
    desk.page.get_by_label("Question").get_by_text("Rain: is it so here?").wait_for()
    desk.press("x")
    desk.page.get_by_label("Question").get_by_text("Rain: is it so here?").wait_for(state="detached")
    assert desk.api.get(f"/frames/{frame}").json()["tags"]["rain"] == "absent"


def test_question__a_box_is_selected_and_confirmed(desk: Desk) -> None:
    frame = world.frame_id(23)
    desk.go(f"/review/{frame}")
    question = desk.page.get_by_label("Question").get_by_text(re.compile("^Is the selected box a car"))
    question.wait_for()
    desk.press("y")
    question.wait_for(state="detached")
    boxes = desk.api.get(f"/frames/{frame}").json()["boxes"]
    assert [b["label"] for b in boxes if b["confirmed"]] == ["car"]


def test_click__on_the_object_is_kept_as_a_point(desk: Desk) -> None:
    frame = world.frame_id(19)
    desk.go(f"/review/{frame}")
    desk.page.locator(".canvas:focus").wait_for()
    desk.page.get_by_label("Question").get_by_text("Click the car, in its middle.").wait_for()
    car = next(b for b in desk.frame(frame)["boxes"] if b["label"] == "car")
    x1, y1, x2, y2 = car["box"]
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    desk.drag((5, 5), (25, 25))
    desk.page.get_by_label("Question").get_by_text("Click the car, in its middle.").wait_for()
    desk.page.mouse.click(*desk.at(*middle))
    desk.page.get_by_text("Click the car, in its middle.").wait_for(state="detached")
    view = desk.frame(frame)
    assert [(p["label"], p["by"]) for p in view["points"]] == [("car", world.NAME)]
    assert view["points"][0]["at"] == pytest.approx(middle, abs=2)
    assert next(b for b in view["boxes"] if b["id"] == car["id"])["confidence"] > car["score"]
    assert len(view["boxes"]) == len({b["id"] for b in view["boxes"]}) >= 1


def test_click__by_keyboard_alone(desk: Desk) -> None:
    frame = world.frame_id(18)
    desk.go(f"/review/{frame}")
    desk.page.locator(".canvas:focus").wait_for()
    desk.page.get_by_text("Click the car, in its middle.").wait_for()
    desk.press("Enter")
    desk.page.get_by_text("cursor at").wait_for()
    view = desk.frame(frame)
    at = (view["width"] / 2 + 16, view["height"] / 2 - 1)
    desk.press("ArrowRight", "ArrowRight", "Alt+ArrowUp", "Enter")
    desk.page.get_by_text("Click the car, in its middle.").wait_for(state="detached")
    assert desk.frame(frame)["points"][0]["at"] == pytest.approx(at, abs=1.5)
    desk.go(f"/review/{frame}")
    desk.page.locator(".canvas:focus").wait_for()
    desk.press("i")
    desk.page.get_by_role("dialog").get_by_text("clicked car").wait_for()


def test_click__there_is_none_or_the_frame_is_reviewed_whole(desk: Desk) -> None:
    frame = world.frame_id(20)
    desk.go(f"/review/{frame}")
    desk.page.locator(".canvas:focus").wait_for()
    prompt = desk.page.get_by_text("Click the car, in its middle.")
    prompt.wait_for()
    desk.press("Escape")
    prompt.wait_for(state="detached")
    desk.page.reload()
    prompt.wait_for()
    desk.page.locator(".canvas:focus").wait_for()
    desk.press("n")
    prompt.wait_for(state="detached")
    view = desk.frame(frame)
    assert (view["points"], view["complete_for"]) == ([], ["car"])
    assert "car" not in {b["label"] for b in view["boxes"]}


def test_lease__is_given_back_when_the_page_goes(desk: Desk) -> None:
    frame = world.frame_id(22)
    desk.go(f"/review/{frame}")
    desk.page.get_by_text("yours", exact=True).wait_for()
    assert desk.api.get(f"/frames/{frame}").json()["lease"] is not None
    desk.page.goto("about:blank")
    for _ in range(50):
        if desk.api.get(f"/frames/{frame}").json()["lease"] is None:
            return
        desk.page.wait_for_timeout(100)
    raise AssertionError("the frame is still leased")
