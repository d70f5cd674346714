"""Is the camera itself well? Defocused, covered, dark, overexposed, frozen or moved.

    frame, twice a second -> Look (numbers of one picture) -> against the Usual of this camera -> suspicion
                                                           -> Focus, for what goes slowly      -> suspicion
                                                           -> Hysteresis per ailment -> `Health.wrong`

Whatever could pass for an ailment for a moment must last before it is told, and be gone for a while before that is
over. What is usual is learned only while nothing is suspected; a view that stays another for long becomes usual.
All is pure: time comes with the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.assess.focus import Focus, left, ranked
from edge.assess.small import Grey, small_grey
from edge.runtime.sharpness.patches import TILE, inside, parts_of, patches
from edge.sources import Image

KINDS = ("dark", "overexposed", "frozen", "covered", "moved", "defocused")
"""Ailments, the one that explains the others first."""
SAMPLE_S = 0.5
"""Seconds between two looks: an ailment lasts, and a look costs as much as a score."""
WIDTH = 80
"""Pixels across of the picture whose structure is remembered: a defocus leaves it alone, a shift of 2 % does not."""
SURROUND = 11
"""Side of the window that is subtracted, in small pixels, so that light does not count."""
WINDOW = 384 * 288
"""Pixels at native resolution whose detail is looked at."""
THIN = 3
"""Of them, every so many across and down are kept to tell whether anything changed."""
TILES = (8, 6)
"""Across and down: parts of the picture that are compared each by itself, so that one lorry is one part."""
LEARN_LOOKS = 8
"""Looks before anything is usual."""
USUAL_LOOKS = 120
"""Looks, a minute's, over which the usual is averaged."""
RECENT = 0.35
"""Share of the newest look in the recent picture: what passes within a second or two hardly shows in it."""
RAISE_S, CLEAR_S = 4.0, 6.0
"""Seconds that an ailment is suspected before it is told, and not suspected before it is over."""
FREEZE_S = 5.0
"""The same for a picture that stands still; a street at night may do so for some seconds."""
ACCEPT_S = 600.0
"""Seconds after which another view is the usual one: somebody meant it."""

DARK, DARKER = 40.0, 0.3
"""Grey level that 95 % of a dark picture do not reach; share of the usual light that is dark, if it came at once."""
DIM = 60.0
"""Mean grey level from which a picture is never called dark."""
BURNT, MORE_BURNT = 0.6, 0.35
"""Share of white pixels that is overexposed, and by how much it exceeds the usual share."""
WHITE = 250
CHANGED = 2
"""Grey levels by which a pixel of a living picture changes through noise alone."""
STILL = 0.0005
"""Share of changed pixels that a living picture exceeds."""
STEP = 6.0
"""Grey levels by which one look changes the usual structure at most."""
STRUCTURED = 6.0
"""Energy, grey levels squared, from which a tile has a structure to remember."""
LEAST_TILES = 4
"""Structured tiles without which nothing can be said of the view."""
NOTHING = 0.05
"""Share of the usual energy that counts as none."""
ALIKE = 0.35
"""Correlation of a tile with the usual one under which it shows something else."""
ELSEWHERE = 0.5
"""Share of the structured tiles that show something else where the view is another."""
FLAT = 0.35
"""Share of the usual energy under which a view is hidden rather than another."""
BLURRED = 0.5
"""Share of the usual detail under which the picture is out of focus."""
NOISE = 10.0
"""Percentile of the detail that is taken for noise."""
LEAST_SHIFT, SURE_SHIFT = 1.0, 0.12
"""Small pixels, and response of the phase correlation, from which a shift is one."""

Small = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """One picture in numbers. `structure` ``[h, w]`` is the small picture less its surroundings."""

    structure: Small
    mean: float
    bright: float
    """Grey level that 95 % of the pixels do not exceed."""
    white: float
    """Share 0..1 of the pixels that are white."""
    detail: Small
    """Fine detail ``[h, w]`` of places at native resolution, relative to the light."""
    grid: Grey
    """A thin grid of pixels as they are, to tell whether anything changed."""


def detail_of(near: Grey, parts: int = 1) -> Small:
    """Return how much fine detail each tile has of `near`, a picture or `parts` x `parts` patches of it at
    native resolution.

    The flattest tiles show the sensor's noise, which is taken off. Less light makes less detail: it is divided off."""
    plane = near.astype(np.float32)
    fine = cv2.subtract(plane, cv2.GaussianBlur(plane, (5, 5), 1.0))
    size = (max(1, plane.shape[1] // TILE), max(1, plane.shape[0] // TILE))
    energy = inside(
        np.asarray(cv2.resize(cv2.multiply(fine, fine), size, interpolation=cv2.INTER_AREA), np.float32), parts
    )
    clean = np.sqrt(np.maximum(energy - np.float32(ranked(energy, NOISE)), np.float32(0.0)))
    return np.asarray(100.0 * clean / (cv2.mean(plane)[0] + 10.0), np.float32)


def look(image: Image, picture: Grey | None = None) -> Look:
    """Return a BGR `image` in numbers; `picture` as in `edge.runtime.Inference`."""
    grey = small_grey(image, picture, WIDTH)
    small = grey.astype(np.float32)
    structure = np.asarray(cv2.subtract(small, cv2.blur(small, (SURROUND, SURROUND))), np.float32)
    near = patches(image, WINDOW)
    return Look(
        structure, cv2.mean(grey)[0], ranked(grey, 95.0),
        cv2.countNonZero(cv2.compare(grey, WHITE, cv2.CMP_GE)) / grey.size,  # type: ignore[call-overload]
        detail_of(near, parts_of(image, WINDOW)), near[::THIN, ::THIN].copy(),
    )  # fmt: skip


def towards(usual: Small, new: Small, share: float, most: Small | float) -> Small:
    """Return `usual` gone by `share` towards `new`, which counts by `most` at most: what passes leaves no trace."""
    return np.asarray(usual + np.float32(share) * np.clip(new - usual, -most, most), np.float32)


@dataclass
class Usual:
    """What a camera usually shows; `looks` counts what went into it."""

    structure: Small = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    detail: Small = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    mean: float = 0.0
    white: float = 0.0
    looks: int = 0

    def learn(self, new: Look) -> None:
        """Take in a look; of another size, start afresh."""
        if self.structure.shape != new.structure.shape or self.detail.shape != new.detail.shape:
            self.structure, self.detail, self.looks = new.structure, new.detail, 0
        self.looks = min(USUAL_LOOKS, self.looks + 1)
        share = 1.0 / self.looks
        self.structure = towards(self.structure, new.structure, share, STEP)
        self.detail = towards(self.detail, new.detail, share, np.asarray(0.3 * self.detail + 0.1, np.float32))
        self.mean += share * (new.mean - self.mean)
        self.white += share * (new.white - self.white)

    def sharpness(self, new: Look) -> float:
        """Return the share of the usual detail that is left in `new`, at the places where there is most to lose."""
        return left(self.detail, new.detail) if self.detail.shape == new.detail.shape else 1.0


def tiles(values: Small) -> Small:
    """Return the mean of `values` in each tile."""
    return np.asarray(cv2.resize(values, TILES, interpolation=cv2.INTER_AREA), np.float32)


def elsewhere(recent: Small, usual: Small) -> tuple[float, float]:
    """Return the share (0..1) of the structured tiles of `usual` that show something else in `recent`, and the median
    energy of these in `recent` relative to `usual`. Light and contrast do not count."""
    both, own, known = tiles(recent * usual), tiles(recent * recent), tiles(usual * usual)
    structured = known >= STRUCTURED
    if structured.sum() < LEAST_TILES:
        return 0.0, 1.0
    other = structured & (both < ALIKE * np.sqrt(np.maximum(own, NOTHING * known) * known))
    if not other.any():
        return 0.0, 1.0
    return float(other.sum() / structured.sum()), ranked(own[other] / known[other], 50.0)


def shift(recent: Small, usual: Small) -> tuple[float, float] | None:
    """Return by how many small pixels (x, y) the view moved, or None where it is no shift."""
    window = cv2.createHanningWindow(usual.shape[::-1], cv2.CV_32F)
    (x, y), sure = cv2.phaseCorrelate(usual.copy(), recent.copy(), window)  # OpenCV writes into what it is given
    return (x, y) if sure >= SURE_SHIFT and max(abs(x), abs(y)) >= LEAST_SHIFT else None


def changed(before: Look, now: Look) -> float:
    """Return the share 0..1 of the pixels that are not as they were."""
    if before.grid.shape != now.grid.shape:
        return 1.0
    differ = cv2.compare(cv2.absdiff(before.grid, now.grid), CHANGED, cv2.CMP_GT)  # type: ignore[call-overload]
    return cv2.countNonZero(differ) / now.grid.size


def lit(now: Look, usual: Usual) -> dict[str, str]:
    """Return what is wrong with the light."""
    learned = usual.looks >= LEARN_LOOKS
    if now.bright < DARK or (learned and now.mean < min(DIM, DARKER * usual.mean)):
        return {"dark": f"dark: the mean grey level is {now.mean:.0f} of 255; no light, or the lens is covered"}
    if now.white > BURNT and (not learned or now.white > usual.white + MORE_BURNT):
        return {"overexposed": f"overexposed: {now.white:.0%} of the picture is white"}
    return {}


def viewed(recent: Small, now: Look, usual: Usual) -> dict[str, str]:
    """Return what is wrong with the view, given the `recent` structure."""
    if usual.looks < LEARN_LOOKS or usual.structure.shape != recent.shape:
        return {}
    share, energy = elsewhere(recent, usual.structure)
    if share >= ELSEWHERE:
        if energy < FLAT:
            return {"covered": f"covered: {share:.0%} of what this camera usually shows is hidden"}
        moved = shift(recent, usual.structure)
        by = f" (by {100 * max(map(abs, moved)) / WIDTH:.0f} % of the width)" if moved else ""
        return {"moved": f"moved: {share:.0%} of the view is not what it usually is{by}; turned, or covered"}
    rest = usual.sharpness(now)
    if rest < BLURRED:
        return {"defocused": f"defocused: {rest:.0%} of the usual detail is left"}
    return {}


class Hysteresis:
    """One ailment over time: told when suspected for `raise_s`, over when not suspected for CLEAR_S.

    A moment without suspicion sets back by twice its length, a moment with it, while the ailment stands, likewise."""

    def __init__(self, raise_s: float) -> None:
        self._raise_s, self._level, self._last = raise_s, 0.0, 0.0
        self.stands = False

    def update(self, suspected: bool, now: float) -> bool:
        """Return whether the ailment stands at `now`, seconds."""
        gone, self._last = min(2 * SAMPLE_S, now - self._last), now
        if self.stands:
            self._level += 2 * gone / CLEAR_S if suspected else -gone / CLEAR_S
        else:
            self._level += gone / self._raise_s if suspected else -2 * gone / self._raise_s
        self._level = min(1.0, max(0.0, self._level))
        self.stands = self._level > 0.0 if self.stands else self._level >= 1.0
        return self.stands


class Health:
    """The health of one camera. `wrong` tells what is the matter, by kind (see KINDS), in words; empty where all is
    well."""

    def __init__(self) -> None:
        self.wrong: dict[str, str] = {}
        self._usual, self._focus = Usual(), Focus()
        self._recent: Small = np.zeros((0, 0), np.float32)
        self._last: Look | None = None
        self._next = float("-inf")
        self._over = {kind: Hysteresis(FREEZE_S if kind == "frozen" else RAISE_S) for kind in KINDS}
        self._other_since: float | None = None

    def see(self, image: Image, now: float, picture: Grey | None = None) -> Mapping[str, str]:
        """Take in a frame of time `now`, seconds, never decreasing. Returns `wrong`."""
        if now >= self._next:
            self._next = now + SAMPLE_S
            self._take(look(image, picture), now)
        return self.wrong

    def _take(self, new: Look, now: float) -> None:
        before, self._last = self._last, new
        if self._recent.shape != new.structure.shape:
            self._recent, before = new.structure, None
            self._usual, self._focus = Usual(), Focus()
        self._recent = np.asarray(self._recent + np.float32(RECENT) * (new.structure - self._recent), np.float32)
        found = lit(new, self._usual) or viewed(self._recent, new, self._usual)
        if not found and (soft := self._focus.see(new.detail, new.mean, now)):
            found = {"defocused": soft}
        if not found and before is not None and changed(before, new) < STILL:
            found = {"frozen": "frozen: the picture has not changed at all"}
        stands = [kind for kind, course in self._over.items() if course.update(kind in found, now)]
        self.wrong = {kind: self.wrong.get(kind) or found[kind] for kind in stands}  # anew: others read it meanwhile
        self._accept(bool(found.keys() & {"moved", "covered"}), now)
        if not found and not self.wrong:
            self._usual.learn(new)

    def _accept(self, other: bool, now: float) -> None:
        """Begin to learn anew where the view has been another for long."""
        if not other:
            self._other_since = None
        elif self._other_since is None:
            self._other_since = now
        elif now - self._other_since >= ACCEPT_S:
            self._usual, self._focus, self._other_since = Usual(), Focus(), None
