"""Which boxes of successive frames are the same thing: each goes to the track that it overlaps most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime.nms import overlaps

OVERLAP: Final = 0.3
"""IoU from which a box continues a track."""
PATIENCE: Final = 0.3
"""Seconds that a track may be out of sight; in that time a car at 50 km/h leaves its own length."""


def link(
    times: NDArray[np.float64], boxes: Sequence[NDArray[np.float32]], first: int = 0
) -> tuple[list[NDArray[np.int64]], int]:
    """Return the track of every box ``[N_t, 4]`` of each frame, and the first number that is free afterwards.

    `times`: seconds, ascending. Greedy by IoU, as in IoU tracking (Bochinski et al., AVSS 2017).
    """
    live: dict[int, tuple[float, NDArray[np.float32]]] = {}
    found = []
    for time, own in zip(times, boxes, strict=True):
        live = {number: seen for number, seen in live.items() if time - seen[0] <= PATIENCE}
        numbers = np.full(len(own), -1, np.int64)
        if live and len(own):
            names = list(live)
            iou = overlaps(own, np.stack([live[name][1] for name in names]))
            while iou.size and iou.max() >= OVERLAP:
                box, track = np.unravel_index(int(iou.argmax()), iou.shape)
                numbers[box] = names[int(track)]
                iou[box, :], iou[:, track] = 0, 0
        for box in np.flatnonzero(numbers < 0):
            numbers[box], first = first, first + 1
        live |= {int(number): (float(time), own[box]) for box, number in enumerate(numbers)}
        found.append(numbers)
    return found, first
