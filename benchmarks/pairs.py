"""What a hundred pairs cost a person's time by the page: from a key to the next pair on the screen, in a real browser.

    python -m benchmarks.pairs [--pairs 100] [--json]

A script presses a key as soon as a pair is drawn, a hundred times, one key each, on the pairs that a centre of drawn
frames asks. `latency_ms` is what the page adds to a person's own time: from the press until both crops of the next pair
are on the screen. A hundred in five minutes leaves three seconds a pair; `left_s` is what remains of them for looking,
at the 95th percentile of the latency, and `met` says whether the script's own hundred took less than five minutes and
every answer reached the centre.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common import main, parser
from benchmarks.keystrokes import START_S, centre

KEYS: Final = ("ArrowLeft", "ArrowRight", "ArrowDown")
GOAL_S: Final = 300.0
"""For a hundred pairs."""
SHOWN: Final = """(before) => {
  const crops = [...document.querySelectorAll('.crop img')];
  const ready = crops.length === 2 && crops.every((i) => i.complete && i.naturalWidth > 0 && i.style.width);
  return ready && crops.map((i) => i.src).join() !== before;
}"""
NOW: Final = "() => [...document.querySelectorAll('.crop img')].map((i) => i.src).join()"


def answer(page: Any, count: int) -> list[float]:
    """Answer `count` pairs, or as many as there are; return milliseconds from each key to the next pair drawn."""
    taken: list[float] = []
    page.wait_for_function(SHOWN, arg="")
    for number in range(count):
        before = page.evaluate(NOW)
        began = time.perf_counter()
        page.keyboard.press(KEYS[number % len(KEYS)])
        page.wait_for_function(SHOWN, arg=before, polling="raf")
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def stored(client: Any, wanted: int) -> int:
    """Return how many answers the centre has, once it has `wanted` or gets no more."""
    had, count = -1, 0
    while count < wanted and count != had:
        had = count
        time.sleep(1.0)
        count = client.get("/pairs", params={"limit": 1}).json()["answered"]
    return count


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Serve, answer, count."""
    from playwright.sync_api import sync_playwright

    from tests.web.conftest import BROWSERS, FLAGS, log_in
    from tests.web.world import NAME

    chromium = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if chromium is None:
        raise OSError("no Chromium on the PATH; install it (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch, centre(Path(scratch), None) as url:
        client, token = log_in(url, NAME)
        with client, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            context.add_cookies([{"name": "wayside_session", "value": token, "url": url}])
            page = context.new_page()
            page.set_default_timeout(START_S * 1000)
            page.goto(f"{url}/pairs")
            began = time.monotonic()
            taken = answer(page, arguments.pairs)
            wall = time.monotonic() - began
            reached = stored(client, len(taken))
            browser.close()
    p95 = float(np.percentile(taken, 95))
    return {
        "pairs": len(taken), "keys_per_pair": 1, "seconds": round(wall, 1), "stored": reached,
        "latency_ms": {"p50": round(float(np.median(taken)), 1), "p95": round(p95, 1), "max": round(max(taken), 1)},
        "left_s": round(GOAL_S / 100 - p95 / 1000, 2),
        "met": wall * 100 / len(taken) < GOAL_S and reached == len(taken),
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--pairs", type=int, default=100, help="how many to answer")
    main(run, made)
