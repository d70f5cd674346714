"""A person who knows the truth and the keys: what to do about a frame, what it costs, and doing it in a browser.

    truth, proposals -> plan: [Step] -> cost
                                     -> Hand: keys and pointer of a real page
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Box = tuple[float, float, float, float]
GOOD: Final = 0.7
"""Intersection over union from which a box is left alone, as most guides for annotators have it."""
SAME: Final = 0.5
"""Intersection over union from which a proposal is worth correcting rather than drawing anew."""
KEY_S: Final = 0.28
AIM_S: Final = 1.1
PRESS_S: Final = 0.1
"""Seconds of the keystroke-level model: a key by an average typist, aiming, one half of a press of the button."""
FIRST: Final = "person"
"""Label of the next box when the page is opened."""


@dataclass(frozen=True)
class Thing:
    """An object or a proposal: xyxy in pixels of the frame."""

    box: Box
    label: str
    score: float | None = None


@dataclass(frozen=True)
class Step:
    """One correction: `at` is the place of the proposal; boxes and labels are where it has to go."""

    do: Literal["relabel", "corners", "delete", "draw"]
    at: int = -1
    box: Box = (0.0, 0.0, 0.0, 0.0)
    label: str = ""
    corners: tuple[str, ...] = ()


@dataclass
class Cost:
    """What was done."""

    keys: int = 0
    clicks: int = 0
    drags: int = 0

    @property
    def actions(self) -> int:
        """A key is one, a click one, a drag two."""
        return self.keys + self.clicks + 2 * self.drags

    @property
    def seconds(self) -> float:
        """By the keystroke-level model, without thinking."""
        return self.keys * KEY_S + self.clicks * (AIM_S + 2 * PRESS_S) + self.drags * 2 * (AIM_S + PRESS_S)


def box_of(row: Sequence[float]) -> Box:
    """Return four numbers as a box."""
    x1, y1, x2, y2 = (float(v) for v in row)
    return x1, y1, x2, y2


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union, 0..1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def matched(true: Sequence[Thing], shown: Sequence[Thing]) -> list[tuple[int, int]]:
    """Return which box is which object, each once, those of the same label first, then those that overlap most."""
    close = [
        (t.label != s.label, -o, i, j)
        for i, t in enumerate(true)
        for j, s in enumerate(shown)
        if (o := overlap(t.box, s.box)) >= SAME
    ]
    found, used_true, used_shown = [], set(), set()
    for _, _, i, j in sorted(close):
        if i not in used_true and j not in used_shown:
            used_true.add(i)
            used_shown.add(j)
            found.append((i, j))
    return found


def _corners(have: Box, want: Box) -> tuple[str, ...]:
    """Return the corners to drag so that `have` is good: none, one, or two."""
    if overlap(have, want) >= GOOD:
        return ()
    one = {
        "nw": (want[0], want[1], have[2], have[3]), "ne": (have[0], want[1], want[2], have[3]),
        "sw": (want[0], have[1], have[2], want[3]), "se": (have[0], have[1], want[2], want[3]),
    }  # fmt: skip
    name = max(one, key=lambda n: overlap(one[n], want))
    return (name,) if overlap(one[name], want) >= GOOD else ("nw", "se")


def plan(true: Sequence[Thing], shown: Sequence[Thing]) -> list[Step]:
    """Return the corrections that lead from the proposals `shown` to the objects `true`."""
    pairs = matched(true, shown)
    steps = []
    for i, j in pairs:
        if true[i].label != shown[j].label:
            steps.append(Step("relabel", j, label=true[i].label))
        corners = _corners(shown[j].box, true[i].box)
        if corners:
            steps.append(Step("corners", j, true[i].box, corners=corners))
    kept = {j for _, j in pairs}
    steps += [Step("delete", j) for j in range(len(shown)) if j not in kept]
    missing = {*range(len(true))} - {i for i, _ in pairs}
    # By label, so that each is chosen once.
    drawn = sorted((true[i] for i in missing), key=lambda t: (t.label != FIRST, t.label))
    return steps + [Step("draw", box=t.box, label=t.label) for t in drawn]


def cost(steps: Sequence[Step]) -> Cost:
    """Return what `steps` and the final Enter cost, as `Hand` does them."""
    spent, label, selected, drawing = Cost(keys=1), FIRST, -1, False
    for step in steps:
        if step.do == "draw":
            spent.keys += (not drawing) + (step.label != label)
            spent.drags += 1
            drawing, label = True, step.label
            continue
        spent.clicks += step.at != selected
        selected = step.at
        spent.drags += len(step.corners)
        spent.keys += step.do in ("relabel", "delete")
        label = step.label or label
    return spent


class Hand(Cost):
    """Keys and pointer on the review page; counts what it does."""

    def __init__(self, page: Any, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._page, self._label_keys = page, keys
        self._label, self._selected, self._drawing = FIRST, -1, False
        self._view = (0.0, 0.0, 1.0)

    def begin(self) -> None:
        """Look at the frame that was opened."""
        canvas = self._page.get_by_test_id("canvas")
        left, top, scale = (float(v) for v in canvas.get_attribute("data-view").split())
        pane = canvas.bounding_box()
        self._view = (pane["x"] + left, pane["y"] + top, scale)
        self._selected, self._drawing = -1, False

    def key(self, key: str) -> None:
        """Press a key."""
        self._page.keyboard.press(key)
        self.keys += 1

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return self._view[0] + x * self._view[2], self._view[1] + y * self._view[2]

    def _drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self._page.mouse
        mouse.move(*self._at(*start))
        mouse.down()
        mouse.move(*self._at(*end), steps=3)
        mouse.up()
        self.drags += 1

    def _select(self, at: int, boxes: Mapping[int, Box]) -> None:
        """Click where the box is the smallest one; where it is nowhere, walk to it by Tab."""
        if at == self._selected:
            return
        self._selected = at
        spot = _spot(at, boxes)
        if spot is not None:
            self._page.mouse.click(*self._at(*spot))
            self.clicks += 1
            return
        order = sorted(boxes, key=lambda j: (boxes[j][1], boxes[j][0]))
        self.key("Escape")
        for _ in range(order.index(at) + 1):
            self.key("Tab")

    def do(self, steps: Sequence[Step], shown: Sequence[Thing]) -> None:
        """Do `steps` about the proposals `shown`."""
        boxes = {j: s.box for j, s in enumerate(shown)}
        for step in steps:
            if step.do == "draw":
                self._draw(step)
                continue
            self._select(step.at, boxes)
            if step.do == "relabel":
                self.key(self._label_keys[step.label])
                self._label = step.label
            elif step.do == "delete":
                self.key("Delete")
                del boxes[step.at]
                self._selected = -1
            for corner in step.corners:
                boxes[step.at] = self._corner(boxes[step.at], step.box, corner)

    def _draw(self, step: Step) -> None:
        if not self._drawing:
            self.key("d")
            self._drawing = True
        self._drag(step.box[:2], step.box[2:])
        # A drawn box is selected: the key of its label, where it needs one, is also that of the next box.
        if self._label != step.label:
            self.key(self._label_keys[step.label])
            self._label = step.label
        self._selected = -1

    def _corner(self, have: Box, want: Box, corner: str) -> Box:
        x, y = (0 if "w" in corner else 2), (1 if "n" in corner else 3)
        self._drag((have[x], have[y]), (want[x], want[y]))
        moved = list(have)
        moved[x], moved[y] = want[x], want[y]
        return box_of(moved)


def _spot(at: int, boxes: Mapping[int, Box]) -> tuple[float, float] | None:
    """Return a pixel where box `at` is the smallest of all that are there, well inside it; None where there is none."""

    def area(b: Box) -> float:
        return (b[2] - b[0]) * (b[3] - b[1])

    mine = boxes[at]
    smaller = [b for j, b in boxes.items() if j != at and area(b) <= area(mine)]
    for fy in (0.5, 0.3, 0.7, 0.15, 0.85):
        for fx in (0.5, 0.3, 0.7, 0.15, 0.85):
            x, y = mine[0] + fx * (mine[2] - mine[0]), mine[1] + fy * (mine[3] - mine[1])
            if not any(b[0] - 3 <= x <= b[2] + 3 and b[1] - 3 <= y <= b[3] + 3 for b in smaller):
                return x, y
    return None
