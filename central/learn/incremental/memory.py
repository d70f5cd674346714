"""Which frames of the past are replayed: those that keep classes, cameras and times of day in balance.

Greedy choice under a concave count of what the memory holds of each class, of each camera at each time, of each class
at each camera, and of each tag, present and absent: the fifth bus is worth less than the first bicycle. A concave
function of counts is submodular, so the greedy choice is within 1 - 1/e of the best (Nemhauser, Wolsey and Fisher,
1978).
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from central.learn.data import Example
from central.learn.incremental import Memory

TIMES: Final = 8
"""Parts that each camera's frames are cut into, in order."""


def _size(path: Path) -> int:
    """Return the bytes of the image at `path`; one that is missing takes no room and teaches nothing."""
    return path.stat().st_size if path.is_file() else 0


def _facets(examples: Sequence[Example]) -> list[list[Hashable]]:
    """Return, for each example, what a memory that holds it has one more of."""
    counts: dict[str, int] = defaultdict(int)
    for example in examples:
        counts[example.camera] += 1
    seen: dict[str, int] = defaultdict(int)
    found: list[list[Hashable]] = []
    for example in examples:
        part = seen[example.camera] * TIMES // counts[example.camera]
        seen[example.camera] += 1
        sure = example.classes[example.weights > 0]
        classes = sorted({int(c) for c in sure})
        own: list[Hashable] = [("time", example.camera, part)]
        own += [("class", c) for c in classes]
        own += [("camera", example.camera, c) for c in classes]
        own += [("tag", int(t), int(example.tags[t])) for t in np.flatnonzero(example.tags)]
        found.append(own)
    return found


def choose(examples: Sequence[Example], memory: Memory, seed: int = 0) -> list[int]:
    """Return the indices of those of `examples` that fit into `memory`, best first; ties are broken by `seed`.

    A frame larger than what is left of the bytes is passed over for smaller ones.
    """
    room = len(examples) if memory.frames is None else min(memory.frames, len(examples))
    if room >= len(examples) and memory.bytes is None:
        return list(range(len(examples)))
    left = math.inf if memory.bytes is None else float(memory.bytes)
    facets, held = _facets(examples), defaultdict[Hashable, int](int)
    ties = np.random.default_rng(seed).random(len(examples))

    def gain(index: int) -> float:
        return sum(math.sqrt(held[f] + 1) - math.sqrt(held[f]) for f in facets[index])

    # A gain only falls as the memory grows, so the best old gain that is still the best is the best (Minoux, 1978).
    queue = [(-gain(i), float(ties[i]), i) for i in range(len(examples))]
    heapq.heapify(queue)
    chosen: list[int] = []
    while queue and len(chosen) < room:
        _, tie, index = heapq.heappop(queue)
        now = -gain(index)
        if queue and now > queue[0][0]:
            heapq.heappush(queue, (now, tie, index))
            continue
        size = _size(examples[index].path) if memory.bytes is not None else 0
        if size > left:
            continue
        left -= size
        chosen.append(index)
        for facet in facets[index]:
            held[facet] += 1
    return chosen
