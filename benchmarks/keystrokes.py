"""What a review costs a person: proposals corrected, against the same boxes drawn from nothing, in a real browser.

    python -m benchmarks.keystrokes [--pack base] [--frames 50] [--looks one|many] [--follow] [--json]

A script that knows the truth reviews real frames on the real page, twice: with the proposals of the pack, and with
none. It does what a person who knows the keys would: leaves what is right, relabels, moves a corner or two, deletes,
draws what is missing, accepts. Every key press and pointer action goes through the browser, and what the centre has
stored afterwards is compared with the truth: `reached` is the share of true objects with a stored box of the same label
and an IoU of at least `GOOD`, `extra` the stored boxes per frame that are none.

The cost model. A key press is one action, a click is one, a drag is two (aim and press, aim and release). Seconds are
those of the keystroke-level model (Card, Moran and Newell 1980): 0.28 for a key, 1.1 to aim, 0.1 for each half of a
press; thinking is left out on both sides. The confidence from which proposals count is chosen by this same cost on the
frames of the set that are not reviewed. `--plan` reckons all this without a browser. `goal` is a ratio of actions of at
most a third.

Proposals are those of the job in the background, which looks many times at each frame (`--looks one`: once, as a node
does). `--follow` adds the labels of the frame of the same camera that was reviewed before, followed to this one; the
centre does so within ten minutes, and how far these samples are apart is not known.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.common import main, opened, parser, say
from benchmarks.reviewer import GOOD, SAME, Hand, Thing, box_of, cost, matched, overlap, plan
from central.annotate.boxes import LabelBox
from central.annotate.eyes import Eyes
from central.annotate.proposers.track import SURE
from central.annotate.track import TrackError, move
from central.learn.data.dataset import read_image
from edge.runtime.model import Model
from edge.runtime.prepare import Image

LEAST: Final = tuple(round(0.05 * step, 2) for step in range(2, 20))
"""Confidences that the slider of the page can be set to."""
LOWEST: Final = 0.1
DRAWN: Final = 80
"""Frames that are drawn where none are given: enough for a hundred pairs and more."""
START_S: Final = 120.0
KEYS: Final = {"person": "1", "two_wheeler": "2", "car": "3", "bus": "4", "truck": "5"}
GOAL: Final = 1 / 3
ROOT: Final = Path(__file__).parents[1]


def truth(coco: Path) -> list[tuple[dict[str, Any], list[Thing]]]:
    """Return the images of a truth file with their objects."""
    data = json.loads(coco.read_text())
    names = {c["id"]: c["name"] for c in data["categories"]}
    found: dict[int, list[Thing]] = {row["id"]: [] for row in data["images"]}
    for row in data["annotations"]:
        x, y, w, h = row["bbox"]
        found[row["image_id"]].append(Thing((x, y, x + w, y + h), names[row["category_id"]]))
    return [(row, found[row["id"]]) for row in data["images"]]


def pixels_of(image: Path) -> Image:
    """Return the pixels of an image."""
    pixels = read_image(str(image))
    if pixels is None:
        raise OSError(f"{image}: not an image")
    return pixels


def proposals(model: Model, image: Path, many: bool) -> list[Thing]:
    """Return what `model` sees on an image; `many`: in several looks."""
    pixels = pixels_of(image)
    seen = Eyes(model, least=LOWEST).see(pixels) if many else model.infer(pixels, LOWEST).detections
    found = zip(seen.boxes, seen.classes, seen.scores, strict=True)
    return [Thing(box_of(box), model.labels[int(label)], float(score)) for box, label, score in found]


def followed(images: Path, rows: Sequence[tuple[dict[str, Any], list[Thing]]]) -> list[list[Thing]]:
    """Return for each row the objects of the row before of the same camera, followed to it; those that are sure."""
    before: dict[str, tuple[Image, list[Thing]]] = {}
    found: list[list[Thing]] = []
    for row, things in rows:
        camera, pixels = str(row.get("camera", "")), pixels_of(images / row["file_name"])
        mine: list[Thing] = []
        if camera in before:
            old, known = before[camera]
            with suppress(TrackError):
                moved = move(old, pixels, [LabelBox(t.box, t.label) for t in known])
                mine = [Thing(box_of(m.box.box), m.box.label, m.confidence) for m in moved if m.confidence >= SURE]
        found.append(mine)
        before[camera] = pixels, things
    return found


def joined(first: Sequence[Thing], rest: Sequence[Thing]) -> list[Thing]:
    """Return `first`, and of `rest` what is not one of its objects."""
    return [*first, *(r for r in rest if not any(overlap(r.box, f.box) >= SAME and r.label == f.label for f in first))]


@contextmanager
def centre(folder: Path, rows: Sequence[dict[str, Any]] | None) -> Iterator[str]:
    """Run a centre with frames and their proposals, or with drawn ones, in a process of its own, and yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.web.world", "--data", str(folder), "--port", str(port)]
    if rows is None:
        command += ["--frames", str(DRAWN)]
    else:
        (folder / "frames.json").write_text(json.dumps(rows))
        command += ["--proposals", str(folder / "frames.json")]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            url, until = f"http://127.0.0.1:{port}", time.monotonic() + START_S
            while time.monotonic() < until and process.poll() is None:
                try:
                    httpx.get(f"{url}/api/v1/health", timeout=START_S)
                    break
                except httpx.TransportError:
                    time.sleep(0.3)
            yield url
        finally:
            process.terminate()


def review(browser: Any, rows: Sequence[dict[str, Any]], things: Sequence[list[Thing]]) -> dict[str, Any]:
    """Review all frames in the browser; return what it cost and what it reached."""
    from tests.web.conftest import log_in
    from tests.web.world import NAME, frame_id

    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch, centre(Path(scratch), rows) as url:
        client, token = log_in(url, NAME)
        context = browser.new_context(viewport={"width": 1920, "height": 1080})
        context.add_cookies([{"name": "wayside_session", "value": token, "url": url}])
        page = context.new_page()
        page.set_default_timeout(START_S * 1000)
        page.goto(f"{url}/review")
        hand = Hand(page, KEYS)
        wall = 0.0
        reached, extra = 0, 0
        for number, true in enumerate(things):
            page.locator(f'.queue-item[aria-current="true"] img[src*="{frame_id(number)}"]').wait_for()
            page.get_by_text("yours", exact=True).wait_for()
            page.locator(".canvas:focus").wait_for()
            view = client.get(f"/frames/{frame_id(number)}").json()
            shown = [Thing(box_of(b["box"]), b["label"], b["score"]) for b in view["boxes"]]
            began = time.monotonic()
            hand.begin()
            hand.do(plan(true, shown), shown)
            with page.expect_response("**/labels"):
                hand.key("Enter")
            wall += time.monotonic() - began
            view = client.get(f"/frames/{frame_id(number)}").json()
            stored = [Thing(box_of(b["box"]), b["label"]) for b in view["boxes"]]
            hits = sum(
                overlap(true[i].box, stored[j].box) >= GOOD and true[i].label == stored[j].label
                for i, j in matched(true, stored)
            )
            reached, extra = reached + hits, extra + len(stored) - hits
        context.close()
        client.close()
    count = len(things)
    return {
        "keys": round(hand.keys / count, 2), "clicks": round(hand.clicks / count, 2),
        "drags": round(hand.drags / count, 2), "actions": round(hand.actions / count, 2),
        "seconds": round(hand.seconds / count, 2),
        "script_seconds": round(wall / count, 2), "reached": round(reached / max(1, sum(map(len, things))), 3),
        "extra": round(extra / count, 2),
    }  # fmt: skip


def best_least(rows: Sequence[tuple[list[Thing], list[Thing]]]) -> float:
    """Return the confidence at which true objects `rows[i][0]` are reached from `rows[i][1]` with least work."""

    def work(least: float) -> float:
        return sum(cost(plan(true, [p for p in seen if (p.score or 0) >= least])).actions for true, seen in rows)

    return min(LEAST, key=work)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Propose, review twice, compare."""
    from playwright.sync_api import sync_playwright

    from tests.web.conftest import BROWSERS, FLAGS

    chromium = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if chromium is None:
        raise OSError("no Chromium on the PATH; install it (Debian: apt install chromium)")
    images = truth(arguments.coco)
    with opened(arguments.pack) as (pack,), Model(pack, "cpu") as model:
        many = arguments.looks == "many"
        seen = [proposals(model, arguments.images / row["file_name"], many) for row, _ in images]
    every = max(1, round(len(images) / arguments.frames * 100))
    chosen = sorted({i * every // 100 for i in range(arguments.frames)} & set(range(len(images))))[: arguments.frames]
    chosen += [i for i in range(len(images)) if i not in chosen][: arguments.frames - len(chosen)]
    if arguments.follow:
        # Among those that are reviewed, and among the others: nobody has reviewed what the confidence is chosen by.
        for part in (sorted(chosen), [i for i in range(len(images)) if i not in chosen]):
            for i, mine in zip(part, followed(arguments.images, [images[i] for i in part]), strict=True):
                seen[i] = joined(mine, seen[i])
    others = [(images[i][1], seen[i]) for i in range(len(images)) if i not in chosen]
    least = best_least(others) if others else 0.3
    say(f"{len(chosen)} frames, {sum(len(images[i][1]) for i in chosen)} objects; proposals from {least:.2f}")

    def kept(i: int) -> list[Thing]:
        return [p for p in seen[i] if (p.score or 0) >= least]

    def rows(with_proposals: bool) -> list[dict[str, Any]]:
        return [
            {
                "file": str((arguments.images / images[i][0]["file_name"]).resolve()),
                "width": images[i][0]["width"], "height": images[i][0]["height"],
                "proposals": [
                    {"box": p.box, "label": p.label, "score": p.score} for p in (kept(i) if with_proposals else ())
                ],
            }
            for i in chosen
        ]  # fmt: skip

    things = [images[i][1] for i in chosen]
    corrected = sum(cost(plan(images[i][1], kept(i))).actions for i in chosen)
    planned = corrected, sum(cost(plan(true, [])).actions for true in things)
    head = {
        "pack": arguments.pack, "looks": arguments.looks, "follow": arguments.follow, "frames": len(chosen),
        "objects": sum(map(len, things)), "least": least,
        "planned_ratio": round(planned[0] / planned[1], 3), "goal": round(GOAL, 3),
    }  # fmt: skip
    if arguments.plan:
        return {**head, "planned": [round(n / len(chosen), 2) for n in planned]}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        proposed = review(browser, rows(True), things)
        say(f"with proposals: {proposed}")
        nothing = review(browser, rows(False), things)
        say(f"from nothing: {nothing}")
        browser.close()
    ratio = proposed["actions"] / nothing["actions"]
    seconds = round(proposed["seconds"] / nothing["seconds"], 3)
    rest = {"ratio_actions": round(ratio, 3), "ratio_seconds": seconds, "met": ratio <= GOAL}
    return {**head, "proposed": proposed, "nothing": nothing, **rest}


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", default="base", help="whose proposals")
    made.add_argument("--frames", type=int, default=50, help="how many are reviewed")
    made.add_argument("--looks", choices=("one", "many"), default="many", help="at each frame")
    made.add_argument("--follow", action="store_true", help="also propose what was labelled on the frame before")
    made.add_argument("--plan", action="store_true", help="only reckon what would be done; no browser")
    main(run, made)
