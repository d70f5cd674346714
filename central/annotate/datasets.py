"""Snapshots: which frame with which answer, for training or held back, known by the hash of exactly that.

    labelled frames -> listing -> address        the same labels give the same snapshot, whoever takes it
    two snapshots -> difference                  frames, and labels by class and camera

A snapshot holds ids and revisions; what was answered at a revision is in `LabelRevision`, which is only ever added to.
`verify` proves both: that the listing has its address, and that every answer is there.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from central.store.models import Annotation, Frame, LabelRevision, Snapshot, SnapshotNote
from protocols.messages import utc_now

HELD_BACK: Final = 5
"""One block of frames in so many is never trained on."""
BLOCK: Final = 50
"""Consecutive frames of a camera that go the same way: neighbours are alike, and must not sit on both sides."""
PAGE: Final = 500
SHOWN: Final = 50
"""Ids of frames that a difference names of each kind."""


class SnapshotError(LookupError):
    """A snapshot that is not there, or is not what it says."""


def held_back(camera: str, index: int) -> bool:
    """Say whether frame number `index` (from 0) of `camera` is only ever judged on: the same answer for ever.

    Exactly one block of each HELD_BACK in a row, by a hash; never the first of a camera, so that there is something to
    learn from, however short the recording.
    """
    stretch, place = divmod(index // BLOCK, HELD_BACK)
    number = int.from_bytes(hashlib.sha256(f"{camera}/{stretch}".encode()).digest()[:4], "big")
    return place == (number % HELD_BACK if stretch else 1 + number % (HELD_BACK - 1))


def entry(frame: str, revision: int, judged: bool) -> dict[str, Any]:
    """Return what a snapshot says of one frame."""
    return {"frame": frame, "revision": revision, "split": "val" if judged else "train"}


def address_of(items: Sequence[dict[str, Any]]) -> str:
    """Return the address of a snapshot with `items`, in order of id."""
    return hashlib.sha256(json.dumps(list(items), sort_keys=True).encode()).hexdigest()


def take(session: Session, name: str, by: str) -> Snapshot:
    """Take a snapshot of every labelled frame in the open write transaction. A name that it has already stays."""
    rows = session.execute(
        select(Frame.id, Frame.revision, Frame.camera, Frame.index).where(Frame.state == "labelled").order_by(Frame.id)
    )
    items = [entry(frame, revision, held_back(camera, index)) for frame, revision, camera, index in rows]
    address = address_of(items)
    found = session.get(Snapshot, address)
    if found is None:
        sure = select(Annotation.id).join(Frame, Frame.id == Annotation.frame)
        labels = len(list(session.scalars(sure.where(Annotation.confirmed, Frame.state == "labelled"))))
        found = Snapshot(address=address, frames=len(items), labels=labels, items=items)
        session.add(found)
        session.flush()
    if session.get(SnapshotNote, address) is None:
        session.add(SnapshotNote(snapshot=address, name=name, by=by, at=utc_now()))
    return found


def find(session: Session, address: str) -> Snapshot:
    """Return the snapshot whose address is, or begins with, `address`. Raises SnapshotError."""
    found = session.get(Snapshot, address)
    if found is None and len(address) >= 6:
        alike = list(
            session.scalars(select(Snapshot).where(Snapshot.address.startswith(address, autoescape=True)).limit(2))
        )
        found = alike[0] if len(alike) == 1 else None
    if found is None:
        raise SnapshotError(f"no snapshot {address[:64]}; 'wayside-central data snapshots' lists those that are there")
    return found


def _answers(session: Session, items: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, LabelRevision]]:
    """Yield id, camera (with its node) and answer of every frame of a snapshot whose answer is there."""
    for start in range(0, len(items), PAGE):
        wanted = {item["frame"]: item["revision"] for item in items[start : start + PAGE]}
        query = select(Frame.node, Frame.camera, LabelRevision).join(Frame, Frame.id == LabelRevision.frame)
        for node, camera, row in session.execute(query.where(LabelRevision.frame.in_(wanted))):
            if row.revision == wanted[row.frame]:
                yield row.frame, f"{node}/{camera}", row
        session.expunge_all()


def verify(session: Session, address: str) -> list[str]:
    """Return what is wrong with a snapshot, in words; empty where it is whole. Raises SnapshotError."""
    row = find(session, address)
    items = list(row.items)
    problems = [] if address_of(items) == row.address else ["what it lists does not have its address"]
    there = {frame for frame, _, _ in _answers(session, items)}
    gone = [item["frame"] for item in items if item["frame"] not in there]
    if gone:
        problems.append(f"{len(gone)} answers are gone, the first of frame {gone[0]}")
    return problems


@dataclass
class Tally:
    """Frames or labels: only in the first, only in the second, in both but different, and how many there are."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    before: int = 0
    after: int = 0

    def plus(self, added: int, removed: int, changed: int) -> None:
        """Count some more."""
        self.added, self.removed, self.changed = self.added + added, self.removed + removed, self.changed + changed


@dataclass
class Difference:
    """What the second of two snapshots has that the first has not, and the other way round."""

    frames: Tally = field(default_factory=Tally)
    labels: dict[str, Tally] = field(default_factory=dict)
    """Boxes by class."""
    cameras: dict[str, Tally] = field(default_factory=dict)
    """Boxes by camera, with its node."""
    camera_frames: dict[str, Tally] = field(default_factory=dict)
    tags: dict[str, Tally] = field(default_factory=dict)
    complete_for: dict[str, Tally] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=lambda: {"added": [], "removed": [], "changed": []})


def _key(box: dict[str, Any]) -> tuple[Any, ...]:
    return (box["label"], tuple(round(float(v), 2) for v in box["box"]), json.dumps(box.get("mask")))


def _count_boxes(found: Difference, camera: str, before: Iterable[Any], after: Iterable[Any]) -> None:
    """Count boxes of one frame: what is in both is the same, else it was changed as often as one of a class went and
    another came."""
    a, b = Counter(map(_key, before)), Counter(map(_key, after))
    gone, new = Counter(k[0] for k in (a - b).elements()), Counter(k[0] for k in (b - a).elements())
    for label in {k[0] for k in (*a, *b)}:
        both = min(gone[label], new[label])
        tally, own = found.labels.setdefault(label, Tally()), found.cameras.setdefault(camera, Tally())
        for one in (tally, own):
            one.plus(new[label] - both, gone[label] - both, both)
            one.before += sum(n for k, n in a.items() if k[0] == label)
            one.after += sum(n for k, n in b.items() if k[0] == label)


def _count_named(found: dict[str, Tally], before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in {*before, *after}:
        tally, old, new = found.setdefault(name, Tally()), before.get(name), after.get(name)
        tally.before += old is not None
        tally.after += new is not None
        tally.plus(int(old is None), int(new is None), int(old is not None and new is not None and old != new))


def difference(session: Session, first: str, second: str) -> Difference:
    """Return what changed from one snapshot to another. Raises SnapshotError."""
    rows = find(session, first), find(session, second)
    one, two = ({item["frame"]: item["revision"] for item in row.items} for row in rows)
    found = Difference(frames=Tally(before=len(one), after=len(two)))
    kinds = {
        "added": [f for f in two if f not in one],
        "removed": [f for f in one if f not in two],
        "changed": [f for f in two if f in one and one[f] != two[f]],
    }
    found.examples = {kind: frames[:SHOWN] for kind, frames in kinds.items()}
    found.frames.plus(*(len(kinds[kind]) for kind in ("added", "removed", "changed")))
    everything = sorted({*one, *two})
    for start in range(0, len(everything), PAGE):
        page = everything[start : start + PAGE]
        old, new = (
            {
                f: (camera, r)
                for f, camera, r in _answers(session, [{"frame": f, "revision": s[f]} for f in page if f in s])
            }
            for s in (one, two)
        )
        for frame in {*old, *new}:
            _count_frame(found, frame, old.get(frame), new.get(frame))
    return found


def _count_frame(
    found: Difference, frame: str, old: tuple[str, LabelRevision] | None, new: tuple[str, LabelRevision] | None
) -> None:
    camera = (new or old or ("", None))[0]
    a, b = (None if side is None else side[1] for side in (old, new))
    _count_boxes(found, camera, a.boxes if a else (), b.boxes if b else ())
    _count_named(found.tags, dict(a.tags or {}) if a else {}, dict(b.tags or {}) if b else {})
    complete = [dict.fromkeys(row.complete_for, True) if row else {} for row in (a, b)]
    _count_named(found.complete_for, *complete)
    tally = found.camera_frames.setdefault(camera, Tally())
    tally.before += a is not None
    tally.after += b is not None
    tally.plus(int(a is None), int(b is None), int(a is not None and b is not None and a.revision != b.revision))
