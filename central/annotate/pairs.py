"""Blur pairs: two objects of one size, of which somebody says which is sharper.

    detections with a blur score -> objects -> pairs whose order is least certain, spread over cameras and blur -> asked
    answers -> crops and a list of comparisons, which ``train blur`` learns from

Asked is what the pack cannot tell: neighbours in its own ranking. Objects of one class and of similar size only, since
a larger one shows its blur at another scale.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import clip
from central.store.models import BlurPair, Frame, PairAnswer, PairLabel
from protocols.messages import Box, utc_now

LEAST_SIDE: Final = 24
"""Pixels; on a smaller crop nobody sees blur."""
LEAST_SCORE: Final = 0.3
"""Of a detection; below it most are no objects."""
ALIKE: Final = 1.3
"""Ratio of two sizes up to which two objects are compared."""
NEIGHBOURS: Final = 25
"""Objects next in rank that one is compared with; farther ones are told apart without a person."""
USES: Final = 2
"""Pairs that one object may be in."""
STRATA: Final = 10
"""Parts of the range of blur; none gives more than `SHARE` of the pairs, so that all degrees are asked about."""
SHARE: Final = 0.2
CAMERAS: Final = 0.25
"""Share of the pairs that one pair of cameras may give."""
FRAMES: Final = 400
"""Newest frames that are looked at for pairs."""
BATCH: Final = 100
"""Pairs made at a time: what a person answers in five minutes."""
MOST_OPEN: Final = 1000
"""Pairs that may wait; older packs thought them close."""


class PairMissingError(LookupError):
    """A pair that does not exist."""


@dataclass(frozen=True)
class Object:
    """A detection. `blur` is its rank by the node's pack, None where that has no such head."""

    frame: str
    camera: str
    box: Box
    label: str
    blur: float | None

    @property
    def size(self) -> float:
        """Side of a square of the same area, pixels."""
        return float(np.sqrt((self.box[2] - self.box[0]) * (self.box[3] - self.box[1])))


@dataclass(frozen=True)
class Pair:
    """Two objects, and what an answer is worth: 1 where the pack cannot tell, less where it can."""

    left: Object
    right: Object
    value: float
    reason: str


def objects(frames: Iterable[Frame]) -> Iterator[Object]:
    """Yield the detections of `frames` that are large and sure enough."""
    for frame in frames:
        for found in frame.detections:
            x1, y1, x2, y2 = (float(v) for v in found["box"])
            box = clip((x1, y1, x2, y2), frame.width, frame.height, float("inf"))
            if box is None or float(found["score"]) < LEAST_SCORE:
                continue
            if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE:
                camera = f"{frame.node}/{frame.camera}"
                yield Object(frame.id, camera, box, str(found["label"]), found.get("blur"))


def _turned(a: Object, b: Object) -> tuple[Object, Object]:
    """Return both in an order that has nothing to do with their blur."""
    digest = hashlib.sha256(f"{a.frame}{a.box}{b.frame}{b.box}".encode()).digest()
    return (a, b) if digest[0] % 2 else (b, a)


def _close(ranked: Sequence[Object]) -> list[tuple[float, int, int]]:
    """Return neighbours in rank that may be compared: how far they are apart 0..1, and their places."""
    blurs = np.array([o.blur or 0.0 for o in ranked])
    spread = float(np.subtract(*np.percentile(blurs, (90, 10)))) or 1.0
    found = []
    for i, a in enumerate(ranked):
        for j in range(i + 1, min(len(ranked), i + 1 + NEIGHBOURS)):
            b = ranked[j]
            small, large = sorted((a.size, b.size))
            if a.label == b.label and a.frame != b.frame and large <= ALIKE * small:
                found.append((min(1.0, float(blurs[j] - blurs[i]) / spread), i, j))
    return sorted(found)


def _stratum(ranked: Sequence[Object], place: int, rated: bool) -> int:
    """Return which part of the range of blur (of the places, where nothing is `rated`) an object is in."""
    if not rated:
        return place * STRATA // len(ranked)
    low, high = ranked[0].blur or 0.0, ranked[-1].blur or 0.0
    return int(((ranked[place].blur or 0.0) - low) / ((high - low) or 1.0) * STRATA)


def choose(found: Sequence[Object], count: int, known: Collection[frozenset[str]] = ()) -> list[Pair]:
    """Return up to `count` pairs of `found`, the least certain first; none between two frames that are `known`."""
    rated = any(o.blur is not None for o in found)
    ranked = sorted((o for o in found if (o.blur is not None) == rated), key=lambda o: (o.blur or 0.0, o.frame))
    uses: Counter[int] = Counter()
    strata: Counter[int] = Counter()
    cameras: Counter[frozenset[str]] = Counter()
    taken, pairs = set(known), []
    several = len({o.camera for o in ranked}) > 1
    for apart, i, j in _close(ranked) if len(ranked) > 1 else []:
        a, b = ranked[i], ranked[j]
        both, places = frozenset((a.frame, b.frame)), frozenset((a.camera, b.camera))
        stratum = _stratum(ranked, i, rated)
        full = strata[stratum] >= max(1, SHARE * count) or (several and cameras[places] >= max(1, CAMERAS * count))
        if full or both in taken or max(uses[i], uses[j]) >= USES:
            continue
        uses.update((i, j))
        strata[stratum] += 1
        cameras[places] += 1
        taken.add(both)
        reason = f"blur scores {apart:.0%} of their range apart" if rated else "no blur score yet"
        pairs.append(Pair(*_turned(a, b), 1.0 - apart if rated else 0.0, reason))
        if len(pairs) == count:
            break
    return pairs


async def make(session: AsyncSession, count: int = BATCH) -> int:
    """Store up to `count` new pairs of the newest frames in the open write transaction; return how many."""
    waiting = await session.scalar(select(func.count()).select_from(BlurPair).where(BlurPair.answered == 0))
    frames = list(await session.scalars(select(Frame).order_by(Frame.id.desc()).limit(FRAMES)))
    names = [f.id for f in frames]
    rows = await session.execute(select(BlurPair.left, BlurPair.right).where(BlurPair.left.in_(names)))
    known = {frozenset((left, right)) for left, right in rows}
    chosen = choose(list(objects(frames)), max(0, min(count, MOST_OPEN - int(waiting or 0))), known)
    session.add_all(
        BlurPair(
            left=p.left.frame, left_box=list(p.left.box), right=p.right.frame, right_box=list(p.right.box),
            label=p.left.label, value=p.value, reason=p.reason,
        )
        for p in chosen
    )  # fmt: skip
    await session.flush()
    return len(chosen)


async def waiting(session: AsyncSession, person: str, limit: int) -> list[BlurPair]:
    """Return up to `limit` pairs that nobody answered, each person's in another order: two seldom get the same one."""
    mine = exists().where(PairLabel.pair == BlurPair.id, PairLabel.author == person)
    query = select(BlurPair).where(BlurPair.answered == 0, ~mine).order_by(BlurPair.value.desc(), BlurPair.id)
    best = list(await session.scalars(query.limit(2 * limit)))
    best.sort(key=lambda p: hashlib.sha256(f"{person}/{p.id}".encode()).digest())
    return best[:limit]


async def answered(session: AsyncSession, person: str) -> int:
    """Return how many pairs `person` answered."""
    query = select(func.count()).select_from(PairLabel).where(PairLabel.author == person)
    return int(await session.scalar(query) or 0)


async def answer(session: AsyncSession, pair: int, person: str, said: PairAnswer, seconds: float | None) -> None:
    """Store what `person` says of `pair` in the open write transaction; it replaces what they said before.

    Raises PairMissingError.
    """
    if await session.get(BlurPair, pair) is None:
        raise PairMissingError(pair)
    before = await session.get(PairLabel, (pair, person))
    if before is None:
        session.add(PairLabel(pair=pair, author=person, answer=said, seconds=seconds))
        await session.execute(update(BlurPair).where(BlurPair.id == pair).values(answered=BlurPair.answered + 1))
    else:
        before.answer, before.seconds, before.at = said, seconds, utc_now()
    await session.flush()
