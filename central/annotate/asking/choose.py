"""Which question about one frame is worth most per second. Pure: what is stored of a frame in, questions out.

A proposal of probability p (its confidence where that was measured, else its score) is a mistake with probability
min(p, 1 - p). What no proposal covers is counted by `expected_misses`.

    boxes     mends all of it; takes a look, a search for what is missing, a yes per proposal, a box per miss
    missing   mends all of it, if the sure proposals are right and nothing else is there; draws nothing
    box       a yes mends one doubtful box; a no only takes it away, and is counted as nothing
    tag       settles one tag that is unknown; a tag says less than a box
    click     finds an object that a tag speaks of, or tells a part from the whole; says where, not how large
    pair      tells which of two objects is sharper
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from central.annotate.asking import Costs, Question
from central.annotate.asking.click import CLICK_WORTH, centred, probability
from central.annotate.verdicts import SAME_OBJECT, corners, iou
from central.learn.acquire import Candidate
from central.learn.acquire.questions import DOUBT, SURE, expected_misses
from central.store.models import Annotation, Frame
from protocols.messages import AUDIT_REASON, Box

REDRAWN: Final = 0.3
"""Share of the doubtful proposals that somebody draws anew."""
UNSEEN: Final = 0.3
"""Objects without a box that are to be expected where nothing speaks for any: no detector finds all."""
MOST_BOXES: Final = 5
"""Doubtful boxes that are weighed; one is asked about at a time."""
TAG_WORTH: Final = 0.25
"""Of a settled tag, in boxes: it says less."""
PAIR_WORTH: Final = 0.2
LIKELY: Final = 0.5
"""Probability of a tag, as machines have it, from which an object of that class is asked for."""
RIVAL: Final = 0.3
"""Of a doubtful proposal around the same object, in boxes, that a click rules out: one mistake less."""
EVIDENCE: Final = ("inconsistency", "unexplained_motion", "novelty", "blur")


Done = Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Known:
    """What the project has, beside the frame: its labels and tags, what answers cost, and the pair that is open.

    `done` are questions about this frame that were answered: kind, and `Question.asked` with the `answer`.
    """

    labels: Sequence[str]
    tags: Sequence[str] = ()
    costs: Costs = field(default_factory=Costs)
    pair: tuple[int, float] | None = None
    """Its number and value 0..1."""
    done: Done = ()


def candidate(
    frame: Frame, proposals: Sequence[Annotation], labels: Sequence[str], embedding: np.ndarray[Any, Any] | None = None
) -> Candidate:
    """Return a stored frame as strategies see frames; features of boxes were not stored: the frame's stand for them."""
    point = np.zeros(1, np.float32) if embedding is None else embedding
    known = [p for p in proposals if p.label in labels]
    scores = np.zeros((len(known), len(labels)), np.float32)
    for row, proposal in enumerate(known):
        scores[row, list(labels).index(proposal.label)] = probability(proposal)
    boxes = np.array([corners(p) for p in known], np.float32).reshape(-1, 4)
    said = {name: float(frame.assessment[name]) for name in EVIDENCE if frame.assessment.get(name) is not None}
    features = np.repeat(point[None].astype(np.float32), len(known), axis=0)
    spread = np.zeros(len(known), np.float32)
    camera, at = f"{frame.node}/{frame.camera}", frame.captured_at.timestamp()
    return Candidate(frame.id, camera, at, boxes, scores, features, spread, point, said)


def told(box: Box, label: str) -> dict[str, Any]:
    """Return a box as questions have it."""
    return {"box": [round(float(v), 2) for v in box], "label": label}


def _plain(proposal: Annotation) -> dict[str, Any]:
    return told(corners(proposal), proposal.label)


def is_audit(frame: Frame) -> bool:
    """Return whether the frame is of the uniform audit: it is reviewed whole and in random order, as estimates need."""
    return bool(frame.selection.get("reason") == AUDIT_REASON)


def options(frame: Frame, proposals: Sequence[Annotation], known: Known) -> list[Question]:
    """Return what can be asked about `frame` with unconfirmed `proposals`, the most mended per second first."""
    seen = candidate(frame, proposals, known.labels)
    whole = _whole(seen, known.costs, unboxed(frame, proposals, known.labels, known.done))
    if is_audit(frame):
        return [whole]
    found = [whole, *_missing(frame, proposals, seen, whole.gain, known), *_single(proposals, known)]
    found += [*_tags(frame, known), *_pair(known), *_clicks(frame, proposals, known)]
    fresh = [q for q in found if q.kind in ("boxes", "pair") or not _asked(q, known.done)]
    return sorted(fresh, key=lambda q: -q.rate)


def unboxed(frame: Frame, proposals: Sequence[Annotation], labels: Sequence[str], done: Done = ()) -> int:
    """Return how many of `labels` a person said are on `frame`, and no box shows: discovery has missed them."""
    shown = {p.label for p in proposals if probability(p) >= DOUBT} | boxed(done) | set(frame.complete_for)
    return len({name for name in labels if is_said(frame, name, done)} - shown)


def boxed(done: Done) -> set[str]:
    """Return the labels of which a person confirmed a box, among questions that were answered."""
    return {str(box["label"]) for kind, asked in done if kind == "box" and asked.get("answer") == "yes"
            for box in asked.get("boxes", ())}  # fmt: skip


def is_said(frame: Frame, label: str, done: Done) -> bool:
    """Return whether a person said that an object of `label` is on `frame`: by a tag, or by a click."""
    clicked = (kind == "click" and asked.get("answer") == "point" and label in asked["labels"] for kind, asked in done)
    return (frame.tags or {}).get(label) == "present" or any(clicked)


def _whole(seen: Candidate, costs: Costs, absent: int = 0) -> Question:
    best = seen.best
    wrong, missed = float(np.minimum(best, 1 - best).sum()), UNSEEN + expected_misses(seen) + absent
    unsure = int(((best > DOUBT) & (best < SURE)).sum())
    seconds = costs.look + costs.missing + costs.confirm * len(best) + costs.box * (REDRAWN * unsure + missed)
    parts = []
    if unsure:
        parts.append(f"{unsure} of {len(best)} proposals are doubtful")
    if missed >= 2 * UNSEEN:
        parts.append(f"about {missed:.1f} objects may have no box")
    return Question("boxes", seconds, wrong + missed, "; ".join(parts) or "look at the whole frame")


def _missing(
    frame: Frame, proposals: Sequence[Annotation], seen: Candidate, gain: float, known: Known
) -> Iterator[Question]:
    open_labels = tuple(label for label in known.labels if label not in frame.complete_for)
    shown = [p for p in proposals if p.label in open_labels and probability(p) >= SURE]
    if not open_labels or any(DOUBT < probability(p) < SURE for p in proposals):
        return
    if unboxed(frame, proposals, known.labels, known.done):
        return  # something is missing, as a person said already
    chance = math.exp(-UNSEEN - expected_misses(seen)) * math.prod(probability(p) for p in shown)
    seconds = known.costs.look + known.costs.missing + known.costs.confirm * len(shown)
    boxes = tuple(_plain(p) for p in shown)
    reason = f"is anything missing beside {len(shown)} boxes?" if shown else "is there really nothing here?"
    yield Question("missing", seconds, chance * gain, reason, open_labels, boxes=boxes)


def _single(proposals: Sequence[Annotation], known: Known) -> Iterator[Question]:
    def mends(proposal: Annotation) -> float:
        p = probability(proposal)
        return p * min(p, 1 - p)

    doubtful = (p for p in proposals if p.label in known.labels and DOUBT < probability(p) < SURE)
    for one in sorted(doubtful, key=mends, reverse=True)[:MOST_BOXES]:
        p = probability(one)
        reason = f"is this a {one.label.replace('_', ' ')}? {p:.0%} sure"
        yield Question("box", known.costs.look + known.costs.confirm, mends(one), reason, boxes=(_plain(one),))


def _clicks(frame: Frame, proposals: Sequence[Annotation], known: Known) -> Iterator[Question]:
    settled = set(frame.complete_for) | boxed(known.done)
    for label in known.labels:
        own = [p for p in proposals if p.label == label]
        best = max(own, key=probability, default=None)
        sure = 0.0 if best is None else probability(best)
        tagged = 1.0 if is_said(frame, label, known.done) else float(frame.tag_proposals.get(label, 0.0))
        here = max(sure, min(1.0, tagged))
        said = (frame.tags or {}).get(label)
        if label in settled or said == "absent" or here < LIKELY or sure >= SURE:
            continue
        rivals = [] if best is None else [p for p in own if p is not best and centred(corners(p), _middle(best)) > 0]
        ruled = sum(min(q, 1 - q) for q in map(probability, rivals))
        gain = CLICK_WORTH * here * (1 - sure) + RIVAL * ruled
        name = label.replace("_", " ")
        why = f"{len(rivals) + 1} boxes around one {name}: which?" if rivals else f"a {name} is here, but where?"
        yield Question("click", known.costs.look + known.costs.click, gain, why, (label,))


def _middle(one: Annotation) -> tuple[float, float]:
    x1, y1, x2, y2 = corners(one)
    return (x1 + x2) / 2, (y1 + y2) / 2


def _tags(frame: Frame, known: Known) -> Iterator[Question]:
    for name, score in frame.tag_proposals.items():
        if name in known.tags and name not in frame.tags:
            p = min(1.0, max(0.0, float(score)))
            reason = f"{name.replace('_', ' ')}: {p:.0%} sure"
            yield Question("tag", known.costs.look + known.costs.tag, TAG_WORTH * min(p, 1 - p), reason, tag=name)


def _pair(known: Known) -> Iterator[Question]:
    if known.pair is not None:
        number, value = known.pair
        yield Question("pair", known.costs.pair, PAIR_WORTH * value, "which of two is sharper?", pair=number)


def same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Return whether two questions of one kind, as they are stored, ask the same thing."""
    if left.get("tag") != right.get("tag") or left.get("labels") != right.get("labels"):
        return False
    mine, theirs = left.get("boxes") or [], right.get("boxes") or []
    return len(mine) == len(theirs) and all(
        a["label"] == b["label"] and iou(tuple(a["box"]), tuple(b["box"])) >= SAME_OBJECT
        for a, b in zip(mine, theirs, strict=True)
    )


def _asked(question: Question, done: Collection[tuple[str, Mapping[str, Any]]]) -> bool:
    return any(kind == question.kind and same(question.asked, asked) for kind, asked in done)
