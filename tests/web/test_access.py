"""Every page in both themes: nothing that keeps people out, and a picture of each to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.web import world
from tests.web.conftest import ARTIFACTS, ROOT, WAIT_MS, log_in

pytestmark = pytest.mark.web
SETTLE_MS: Final = 1_000
"""For pictures to load."""
AXE: Final = ROOT / "central" / "web" / "node_modules" / "axe-core" / "axe.min.js"

SIZES: Final = ((1366, 768), (1920, 1080))
PAGES: Final = {
    "overview": ("/", ".tile"),
    "review": ("/review", ".box-line"),
    "pairs": ("/pairs", ".crop img[style*=width]"),
    "agreement": ("/agreement", ".opinion img"),
    "camera": ("/cameras/centre-1/market", ".frame-mark"),
    "profile": ("/profile", ".swatch"),
    "profile-wrong": ("/profile", ".swatch"),
    "question": (f"/review/{world.frame_id(22)}", ".question"),
    "click": (f"/review/{world.frame_id(20)}", ".question"),
    "rounds": ("/rounds", ".round"),
    "jobs": ("/jobs", ".job"),
    "packs": ("/packs", ".packs"),
    "rollouts": ("/rollouts", "h1"),
    "compare": (f"/packs/compare?from={world.address(1)}&to={world.address(2)}", ".packs"),
    "data": ("/data", ".tile img"),
    "storage": ("/storage", ".retention"),
    "people": ("/people", ".packs"),
    "help": ("/review", ".box-line"),
}
ASK: Final = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(' | ')}`)"""


def _axe() -> str:
    if not AXE.is_file():
        pytest.skip(f"{AXE.relative_to(ROOT)} is missing; run make web")
    return AXE.read_text()


def _shoot(page: Any, name: str) -> Path:
    folder = ARTIFACTS / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", list(PAGES))
def test_page__has_nothing_serious(browser: Any, centre: str, name: str, scheme: str) -> None:
    source = _axe()
    client, token = log_in(centre, world.NAME)
    client.close()
    context = browser.new_context(viewport=dict(zip(("width", "height"), SIZES[0], strict=True)), color_scheme=scheme)
    context.add_cookies([{"name": "wayside_session", "value": token, "url": centre}])
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    path, sign = PAGES[name]
    page.goto(centre + path)
    page.locator(sign).first.wait_for()
    page.wait_for_timeout(SETTLE_MS)
    if name == "help":
        page.locator(".canvas:focus").wait_for()
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
    if name == "click":
        page.locator(".canvas:focus").wait_for()
        page.keyboard.press("ArrowRight")
        page.get_by_text("cursor at").wait_for()
    if name == "profile-wrong":
        page.get_by_label("Name of label 2").fill("person")
        page.get_by_role("button", name="Remove rain").click()
        page.get_by_role("menuitem").first.wait_for()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        _shoot(page, f"{name}-{scheme}-{width}")
    page.evaluate(source)
    found = page.evaluate(ASK)
    context.close()
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_login__has_nothing_serious(browser: Any, centre: str, scheme: str) -> None:
    source = _axe()
    context = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme=scheme)
    page = context.new_page()
    page.goto(centre)
    page.get_by_label("Name").wait_for()
    _shoot(page, f"login-{scheme}-1366")
    page.evaluate(source)
    found = page.evaluate(ASK)
    context.close()
    assert found == []
