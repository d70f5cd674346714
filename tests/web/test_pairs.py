"""Which one is sharper? In a real browser on a real centre."""

from __future__ import annotations

import pytest

from tests.web.conftest import Desk

pytestmark = pytest.mark.web


def _answered(desk: Desk) -> int:
    count: int = desk.api.get("/pairs").json()["answered"]
    return count


def _shown(desk: Desk) -> None:
    desk.page.locator(".crop img[style*=width]").nth(1).wait_for()


def _press(desk: Desk, *keys: str) -> None:
    for key in keys:
        _shown(desk)
        desk.press(key)


def _open(desk: Desk) -> int:
    before = _answered(desk)
    desk.go("/pairs")
    _shown(desk)
    return before


def _until(desk: Desk, count: int) -> None:
    for _ in range(100):
        if _answered(desk) == count:
            return
        desk.page.wait_for_timeout(100)
    raise AssertionError(f"{_answered(desk)} pairs answered, not {count}")


def test_pairs__one_key_each(desk: Desk) -> None:
    before = _open(desk)
    _press(desk, "ArrowLeft", "ArrowRight", "ArrowDown")
    desk.page.get_by_text("3 of 100").wait_for()
    _until(desk, before + 3)


def test_pairs__both_pictures_have_one_scale(desk: Desk) -> None:
    _open(desk)
    scales = desk.page.evaluate("[...document.querySelectorAll('.crop img')].map(i => i.width / i.naturalWidth)")
    assert scales[0] == pytest.approx(scales[1], rel=0.1)


def test_pairs__the_last_answer_can_be_changed(desk: Desk) -> None:
    before = _open(desk)
    first = desk.page.locator(".crop img").first.get_attribute("src")
    _press(desk, "ArrowLeft", "z")
    desk.page.get_by_text("You said: left is sharper.").wait_for()
    assert desk.page.locator(".crop img").first.get_attribute("src") == first
    _press(desk, "ArrowRight")
    _until(desk, before + 1)


def test_pairs__the_next_pictures_are_there_already(desk: Desk) -> None:
    _open(desk)
    desk.page.wait_for_load_state("networkidle")
    asked: list[str] = []
    desk.page.on("request", lambda r: asked.append(r.url) if r.url.endswith(("/left", "/right")) else None)
    shown = []
    for _ in range(5):
        _press(desk, "ArrowDown")
        shown.append(desk.page.locator(".crop img").first.get_attribute("src"))
    assert not {url for url in asked if any(url.endswith(str(s)) for s in shown)}


def test_pairs__answers_survive_a_lost_connection(desk: Desk) -> None:
    before = _open(desk)
    desk.page.wait_for_load_state("networkidle")
    desk.page.context.set_offline(True)
    _press(desk, "ArrowLeft", "ArrowLeft")
    desk.page.get_by_text("2 answers kept in this browser").wait_for()
    desk.page.context.set_offline(False)
    _until(desk, before + 2)


def test_pairs__a_viewer_may_not_answer(guest: Desk) -> None:
    guest.go("/pairs")
    guest.page.get_by_text("Your role may look, but not answer.").wait_for()
