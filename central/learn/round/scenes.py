"""Tags of scenes in a round: which of them its network learns, and how well the pack then tells them.

    profile, what people said of frames, tags of the pack before -> the tags of the network to be, and why others wait
    held-back frames with tags -> both packs -> AP per tag, for the report

A class needs nobody's tag: boxes, and frames that were looked through for it, say whether it is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from central.learn import snapshot
from central.learn.data.dataset import read_image
from central.learn.snapshot import Labelled
from central.learn.tags.metrics import average_precision
from edge.runtime.model import Model
from protocols.pack import Pack

LEAST: Final = 2
"""Frames known to have a tag, and to lack it, below which a new tag is not learned: it would only learn the camera."""
MOST_JUDGED: Final = 300
"""Held-back frames that tags are judged on, evenly spread: each is looked at once more by both packs."""

Counts = Mapping[str, tuple[int, int]]
"""Frames in which people said that a tag is present, and absent."""


def counted(items: Sequence[Labelled]) -> dict[str, tuple[int, int]]:
    """Return how often each tag was said to be present and absent in `items`."""
    found = Counter(said for item in items for said in item.tags)
    return {name: (found[name, True], found[name, False]) for name, _ in sorted(found)}


def vocabulary(
    known: Sequence[str], labels: Sequence[str], asked: Sequence[str], said: Counts
) -> tuple[tuple[str, ...], list[str]]:
    """Return the tags of the network to be, and a line on those `asked` for (the profile's) that it cannot learn.

    `known` are the tags of the pack before by their names of today, which keep their places. Classes among `labels`
    join where classes have tags at all; tags that are new join where enough was said of them. A pack without a tag head
    gets none: it was left out for a reason.
    """
    wanted = [name for name in asked if name not in labels and any(said.get(name, (0, 0)))]
    if not known:
        lacking = f"tags not learned, as the pack has no head for them (train tags makes one): {', '.join(wanted)}"
        return (), [lacking] if wanted else []
    found = list(known)
    if set(labels) & set(known):
        found += [name for name in labels if name not in known]
    notes = []
    for name in wanted:
        there, gone = said[name]
        if name in found:
            continue
        if min(there, gone) >= LEAST:
            found.append(name)
        else:
            notes.append(
                f"tag {name} was not learned: present in {there} frames, absent in {gone}; {LEAST} of each are needed"
            )
    return tuple(found), notes


def judged(
    before: tuple[Pack, Sequence[str]], after: tuple[Pack, Sequence[str]], items: Sequence[Labelled], folder: Path,
    labels: tuple[str, ...], said: Counts,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return a row for each tag of `after` (a pack and its tags by today's names) that is no class and was spoken of.

    ``name``; ``present`` and ``absent`` in the frames to learn from; ``judged`` how many of `items`, the frames held
    back, tell; ``before`` and ``after``, AP 0..1, None where not both answers occur there or a pack lacks the tag.
    """
    names = tuple(after[1])
    truth = np.array([snapshot.scene(item, labels, names) for item in items], np.int8).reshape(len(items), len(names))
    rows = np.flatnonzero(truth.any(axis=1))
    rows = rows[:: max(1, -(-len(rows) // MOST_JUDGED))]
    found = [_scores(pack, tags, [items[int(i)] for i in rows], folder, names) for pack, tags in (before, after)]
    answer = []
    for column, name in enumerate(names):
        own = truth[rows, column]
        if name in labels or (not own.any() and name not in said):
            continue
        there, gone = said.get(name, (0, 0))
        answer.append({
            "name": name, "present": there, "absent": gone, "judged": int((own != 0).sum()),
            "before": _ap(found[0][:, column], own), "after": _ap(found[1][:, column], own),
        })  # fmt: skip
    return answer


def _scores(
    pack: Pack, tags: Sequence[str], items: Sequence[Labelled], folder: Path, names: Sequence[str]
) -> NDArray[np.float32]:
    """Return what `pack` says of `names` ``[N, T]``; NaN where it does not know one, or an image cannot be read."""
    found = np.full((len(items), len(names)), np.nan, np.float32)
    columns = [(i, tags.index(name)) for i, name in enumerate(names) if name in tags]
    if not items or not columns:
        return found
    with Model(pack, "auto") as model:
        for row, item in enumerate(items):
            image = read_image(str(snapshot.image_path(folder, item)))
            said = None if image is None else model.infer(image).tags
            if said is not None:
                found[row, [i for i, _ in columns]] = said[[j for _, j in columns]]
    return found


def _ap(scores: NDArray[np.float32], truth: NDArray[np.int8]) -> float | None:
    told = (truth != 0) & np.isfinite(scores)
    if not (truth[told] > 0).any() or not (truth[told] < 0).any():
        return None
    return average_precision(scores[told], truth[told] > 0)
