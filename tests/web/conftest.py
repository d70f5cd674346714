"""A seeded centre in a process of its own, and a browser that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from central.api.ui import DIST
from tests.web import world

ROOT: Final = Path(__file__).parents[2]
ARTIFACTS: Final = ROOT / "test-artifacts" / "web"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
START_S: Final = 120
"""Seconds for a centre to start; generous, as machines that test are busy."""
STOP_S: Final = 10
"""Seconds for a centre to stop."""
WAIT_MS: Final = 30_000
"""Milliseconds for anything to appear or answer; generous, as machines that test are busy."""


@dataclass
class Desk:
    """A logged-in page on the review queue, or on whatever page a test goes to."""

    page: Any
    url: str
    api: httpx.Client
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the UI."""
        self.page.goto(self.url + path)

    def review(self) -> str:
        """Open the queue, wait for its first frame, and return the id of that frame."""
        frame: str = self.queue()[0]["id"]
        self.look_at("/review")
        return frame

    def look_at(self, path: str) -> None:
        """Open a frame, or the queue, and wait until the keys belong to the picture."""
        self.go(path)
        self.page.get_by_test_id("canvas").wait_for()
        self.page.locator(".box-line").first.wait_for()
        self.page.locator(".canvas:focus").wait_for()

    def queue(self) -> list[dict[str, Any]]:
        """Return the frames that wait."""
        items: list[dict[str, Any]] = self.api.get("/queue").json()["items"]
        return items

    def frame(self, frame: str) -> dict[str, Any]:
        """Return `frame` as the centre has it."""
        view: dict[str, Any] = self.api.get(f"/frames/{frame}").json()
        return view

    def until(self, frame: str, state: str) -> dict[str, Any]:
        """Wait until the centre has `frame` in `state`, and return it."""
        for _ in range(WAIT_MS // 100):
            view = self.frame(frame)
            if view["state"] == state:
                return view
            self.page.wait_for_timeout(100)
        raise AssertionError(f"frame {frame} is {view['state']}, not {state}")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where frame pixel (x, y) is on the screen."""
        canvas = self.page.get_by_test_id("canvas")
        left, top, scale = (float(v) for v in canvas.get_attribute("data-view").split())
        pane = canvas.bounding_box()
        return pane["x"] + left + x * scale, pane["y"] + top + y * scale

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one frame pixel to another."""
        mouse = self.page.mouse
        mouse.move(*self.at(*start))
        mouse.down()
        mouse.move(*self.at(*end), steps=6)
        mouse.up()

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def lines(self) -> Any:
        """Return the list of boxes beside the frame."""
        return self.page.locator(".box-line")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a browser; skips where there is none."""
    path = os.environ.get("CHROMIUM") or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on the PATH; install it (Debian: apt install chromium) or set CHROMIUM")
    return path


@pytest.fixture(scope="session")
def built() -> Path:
    """The built UI; skips where it is not built."""
    if not (DIST / "index.html").is_file():
        pytest.skip(f"the UI is not built: {DIST} is missing; run make web")
    return DIST


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """One browser for all tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url, timeout=WAIT_MS / 1000)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"no centre answers at {url}")


def _centre(folder: Path, *options: str) -> Iterator[str]:
    """Start a centre of its own and yield its URL."""
    port = _free_port()
    command = [sys.executable, "-m", "tests.web.world", "--data", str(folder), "--port", str(port), *options]
    output = folder / "output.txt"
    with output.open("w") as sink, subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(f"{url}/api/v1/health", process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def centre(built: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a seeded centre; tests take frames from its queue one after another."""
    yield from _centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture(scope="module")
def empty_centre(built: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a centre that has seen nothing yet."""
    yield from _centre(tmp_path_factory.mktemp("empty"), "--empty")


def log_in(url: str, name: str) -> tuple[httpx.Client, str]:
    """Return a client of the API for `name`, and its token."""
    body = {"name": name, "password": world.PASSWORD}
    answer = httpx.post(f"{url}/api/v1/session", json=body, timeout=WAIT_MS / 1000)
    token: str = answer.raise_for_status().json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=WAIT_MS / 1000), token


def open_desk(browser: Any, url: str, name: str, test: str) -> Iterator[Desk]:
    """Yield a page in which `name` is logged in; it is photographed when the test ends."""
    client, token = log_in(url, name)
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.add_cookies([{"name": "wayside_session", "value": token, "url": url}])
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    desk = Desk(page, url, client)
    page.on("pageerror", lambda error: desk.complaints.append(str(error)))
    page.on("console", lambda m: desk.complaints.append(m.text) if "Content Security Policy" in m.text else None)
    yield desk
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    desk.page.screenshot(path=ARTIFACTS / f"{re.sub('[^a-z0-9_-]+', '-', test.lower())}.png")
    context.close()
    client.close()
    assert desk.complaints == []


@pytest.fixture
def desk(browser: Any, centre: str, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A browser in which the admin is logged in."""
    yield from open_desk(browser, centre, world.NAME, request.node.name)


@pytest.fixture
def guest(browser: Any, centre: str, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A browser in which a viewer is logged in."""
    yield from open_desk(browser, centre, "guest", request.node.name)


@pytest.fixture
def newcomer(browser: Any, empty_centre: str, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A browser in which the admin of an empty centre is logged in."""
    yield from open_desk(browser, empty_centre, world.NAME, request.node.name)
