"""Where the cameras of the world stand, and how they fared over the last day."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from central.store import models as db
from central.store import trend

PLACES: Final[Mapping[str, tuple[float, float]]] = {
    "quay-east": (53.5441, 9.9862), "quay-west": (53.5438, 9.9781), "ferry-ramp": (53.5455, 9.9701),
    "bridge-north": (53.5489, 9.9998), "bridge-south": (53.5442, 10.0007), "market": (53.5516, 9.9935),
    "station": (53.5528, 10.0061), "tunnel-in": (53.5459, 9.9667), "tunnel-out": (53.5459, 9.9667),
}  # fmt: skip
"""Two of them on one post."""
FOGGED: Final = "market"
HOURS: Final = 26
BOX, MISSING, TAG, CLICK = -1, -2, -3, (-4, -5, -6)
"""Frames that carry a question of each kind."""


def _score(camera: str, name: str, hours_ago: float) -> float:
    rng = random.Random(f"{camera} {name}")
    base, swing = rng.uniform(0.15, 0.4), rng.uniform(0.03, 0.1)
    fog = 0.35 if camera == FOGGED and name == "blur" and 3 < hours_ago < 8 else 0.0
    return base + swing * math.sin(hours_ago / 24 * 2 * math.pi) + fog + random.Random(hours_ago).gauss(0, 0.015)


def scores(now: datetime, node: str, camera: str) -> list[db.Base]:
    """Return what the health messages of the last day said of `camera`."""
    first = trend.slot_of(now - timedelta(hours=HOURS))
    found: list[db.Base] = []
    for i in range(int(timedelta(hours=HOURS) / trend.SLOT)):
        at = first + i * trend.SLOT
        hours = (now - at) / timedelta(hours=1)
        if camera == FOGGED and 12 < hours < 13:
            continue
        said = {name: 20 * _score(camera, name, hours) for name in ("blur", "uncertainty")}
        found.append(
            db.CameraScores(
                node=node, camera=camera, at=at, blur_sum=said["blur"], blur_count=20,
                uncertainty_sum=said["uncertainty"], uncertainty_count=20,
            )
        )  # fmt: skip
    return found


def events(now: datetime, node: str) -> list[db.Base]:
    """Return what went wrong at the fogged camera and its node."""

    def happened(hours: float, kind: str, detail: str, **data: Any) -> db.NodeEvent:
        camera = FOGGED if kind == "alert" else ""
        at = now - timedelta(hours=hours)
        return db.NodeEvent(node=node, camera=camera, at=at, kind=kind, detail=detail, data=data)

    return [
        happened(13, "status", "offline: nothing heard for 90 s"),
        happened(12, "status", "online: it reports again"),
        happened(7.5, "alert", "out of focus raised", alert="out of focus", raised=True),
        happened(3.2, "alert", "out of focus cleared", alert="out of focus", raised=False),
        happened(0.4, "alert", "moved raised", alert="moved", raised=True),
    ]


def frames_of(frames: Sequence[db.Frame], now: datetime) -> None:
    """Spread the fogged camera's frames over the day, with the scores of their time."""
    mine = [frame for frame in frames if frame.camera == FOGGED]
    for i, frame in enumerate(mine):
        hours = 0.2 + i * 22.0 / max(1, len(mine))
        frame.captured_at = now - timedelta(hours=hours)
        rng = random.Random(i)
        scores = {
            "blur": _score(FOGGED, "blur", hours) + 0.1, "uncertainty": _score(FOGGED, "uncertainty", hours) + 0.2,
            "unexplained_motion": rng.uniform(0, 0.5), "novelty": rng.uniform(0.1, 0.5),
            "inconsistency": rng.choice([0.0, 0.0, 0.4]),
        }  # fmt: skip
        frame.assessment = {**frame.assessment, **scores}


def looks(now: datetime, node: str) -> list[db.Base]:
    """Return looks at the fogged camera, of which the last finds that it drifts."""
    measures: dict[str, dict[str, float | None]] = {
        "blur": {"value": 0.31, "usual": 0.12, "p": 0.0005, "before": 0.28, "after": 0.59},
        "embedding": {"value": 0.22, "usual": 0.2, "p": 0.04, "before": None, "after": None},
    }
    found: list[db.Base] = []
    for i in range(8):
        share = 0.3 + 0.1 * i
        scaled = {n: {**m, "value": share * float(m["value"] or 0)} for n, m in measures.items()}
        drifts = i == 7
        found.append(
            db.DriftLook(
                node=node, camera=FOGGED, at=now - timedelta(hours=6 * (7 - i) + 0.5), basis="audit", reference="first",
                verdict="drift" if drifts else "steady", frames_before=120, frames_now=40, p=0.001 if drifts else 0.4,
                measures=measures if drifts else scaled, reason="blur rose from 0.28 to 0.59" if drifts else "",
            )
        )  # fmt: skip
    return found


def questions(frames: Sequence[db.Frame]) -> list[db.Base]:
    """Return a question of each kind for the last frames, which wait longest."""
    first = {"seconds": 1.5, "gain": 0.4, "reason": "one key mends as much as reviewing the frame"}
    box = frames[BOX].annotations[0]
    shown = [{"box": [a.x1, a.y1, a.x2, a.y2], "label": a.label} for a in frames[MISSING].annotations]
    return [
        db.FrameQuestion(
            frame=frames[BOX].id, kind="box", boxes=[{"box": [box.x1, box.y1, box.x2, box.y2], "label": box.label}],
            **first,
        ),
        db.FrameQuestion(frame=frames[MISSING].id, kind="missing", labels=["person", "car"], boxes=shown, **first),
        db.FrameQuestion(frame=frames[TAG].id, kind="tag", tag="rain", **first),
        *(db.FrameQuestion(frame=frames[n].id, kind="click", labels=["car"], **first) for n in CLICK),
    ]  # fmt: skip
