"""An operator and an engineer in a real browser, on a real centre."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web import world
from tests.web.conftest import WAIT_MS, Desk

pytestmark = pytest.mark.web


def test_login__wrong_password_says_so_and_the_right_one_opens(browser: Any, centre: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(centre)
    page.get_by_label("Name").fill(world.NAME)
    page.get_by_label("Password").first.fill("not the password")
    page.get_by_role("button", name="Log in").click()
    assert page.get_by_role("alert").inner_text() == "Name or password is wrong."
    page.get_by_label("Password").first.fill(world.PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("navigation", name="Pages").wait_for()
    page.close()


def test_logout__ends_the_session(browser: Any, centre: str, desk: Desk) -> None:
    desk.go("/")
    desk.page.get_by_role("button", name="Account").click()
    desk.page.get_by_role("menuitem", name="Log out").click()
    desk.page.get_by_role("button", name="Log in").wait_for()
    assert desk.api.get("/session").status_code == 401


def test_overview__says_first_what_is_wrong(desk: Desk) -> None:
    desk.go("/")
    wrong = desk.page.get_by_label("What is wrong").get_by_role("listitem")
    wrong.first.wait_for()
    lines = [" ".join(line.split()) for line in wrong.all_inner_texts()]
    assert lines[0].startswith("harbour-2 offline for 7 min")
    assert lines[1] == "centre-1 / tunnel-in failed: stream answers 401: wrong user or password"


def test_overview__shows_live_pictures(desk: Desk) -> None:
    desk.go("/")
    picture = desk.page.get_by_label("Camera quay-east").locator("img")
    picture.wait_for()
    desk.page.wait_for_function("i => i.complete && i.naturalWidth > 0", arg=picture.element_handle())
    first = picture.get_attribute("src")
    desk.page.wait_for_timeout(6_000)
    assert picture.get_attribute("src") != first


def test_overview__tells_of_events_at_once(desk: Desk) -> None:
    desk.go("/")
    desk.page.get_by_text("Live", exact=True).wait_for()
    reviewed = desk.page.locator(".totals div", has_text="reviewed").locator("dd")
    before = int(reviewed.inner_text())
    frame = desk.queue()[-1]
    desk.api.put(f"/frames/{frame['id']}/labels", json={"revision": frame["revision"], "boxes": [], "complete_for": []})
    arg = [reviewed.element_handle(), before + 1]
    desk.page.wait_for_function("([e, n]) => e.innerText === String(n)", arg=arg, timeout=5_000)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "No node has reported yet"),
        ("/review", "Nothing to review"),
        ("/rounds", "No round yet"),
        ("/packs", "No pack yet"),
        ("/nowhere", "There is no such page"),
    ],
)
def test_empty__says_what_comes_next(newcomer: Desk, path: str, title: str) -> None:
    newcomer.go(path)
    newcomer.page.get_by_role("heading", name=title).wait_for()


def test_rounds__show_progress_and_gain(desk: Desk) -> None:
    desk.go("/rounds")
    running = desk.page.get_by_label("Round round-2")
    running.get_by_text("44 %").wait_for()
    assert running.get_by_text("about 3 min 32 s left").is_visible()
    assert "+1.7" in desk.page.get_by_label("Round round-1").inner_text()
    assert desk.page.get_by_role("button", name="A round is running").is_disabled()


def test_rollback__asks_first_and_then_releases(desk: Desk) -> None:
    desk.go("/packs")
    desk.page.get_by_role("row", name="street-2").get_by_role("button", name="Roll back to this pack").click()
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_text("3 nodes will fetch pack").wait_for()
    dialog.get_by_role("button", name="Roll back").click()
    desk.page.get_by_label("Release 3").wait_for()
    newest = desk.api.get("/releases").json()[0]
    assert (newest["number"], newest["pack"]) == (3, world.address(1))


def test_scheme__follows_the_system_and_can_be_changed(browser: Any, centre: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(centre)
    page.get_by_label("Name").wait_for()
    assert page.locator("html").get_attribute("data-mantine-color-scheme") == "dark"
    context.close()


def test_server_error__is_one_clear_line(desk: Desk) -> None:
    body = '{"error": {"code": "internal", "message": "the centre failed at this; its log says why", "detail": null}}'
    answer = {"status": 500, "body": body, "content_type": "application/json"}
    desk.page.route("**/api/v1/packs", lambda route: route.fulfill(**answer))
    desk.go("/packs")
    desk.page.get_by_role("alert").get_by_text("The centre failed at this; its log says why.").wait_for()
    desk.page.get_by_role("button", name="Try again").wait_for()
