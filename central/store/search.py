"""Finding frames among all that are stored: by camera, time, class, score, tag, state and likeness.

    database -> FrameIndex (a few arrays in memory, brought up to date before each search) -> ids, total, cursor
    ids -> rows, by the caller

Every search goes over all frames with vectorised comparisons, so that its time hardly depends on what is asked, counts
are exact, and no combination of conditions needs an index of its own. 100,000 frames with embeddings of 64 numbers
take about 60 MB.

What changed is found by the times of receipt and answer, the revisions of the frames and the ids of their annotations,
all of them indexed. `OVERLAP_S` and `OVERLAP_IDS` are looked at again, for transactions that end in another order than
they began. Rows are only ever added to the arrays; those of frames that were deleted are passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from central.store import vectors
from central.store.database import Database
from central.store.models import Annotation, Deletion, Frame
from central.store.query import Counted, Facets, Found, Kind, Query, SearchError

__all__ = ["Counted", "Facets", "Found", "FrameIndex", "Kind", "Query", "SearchError", "find"]

OVERLAP_S: Final = 10.0
"""Seconds; a transaction that stores frames lasts a fraction of one."""
OVERLAP_IDS: Final = 500
"""Annotations; what one transaction adds at most."""
BATCH: Final = 500
"""Ids in one query."""
FIRST: Final = 1024
"""Rows that there is room for at first; doubled when full."""
PROPOSAL: Final = 1
LABEL: Final = 2
_KINDS: Final[dict[Kind, int]] = {"any": PROPOSAL | LABEL, "proposal": PROPOSAL, "label": LABEL}
_ID: Final = "S36"


class _Codes:
    """Values as small numbers, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.of: dict[Any, int] = {}

    def add(self, value: Any) -> int:
        return self.of.setdefault(value, len(self.of))

    def get(self, value: Any) -> int:
        return self.of.get(value, -1)


class FrameIndex:
    """The arrays. Methods may be called from several threads; one at a time works.

    Where the database keeps embeddings as vectors (`central.store.vectors`) they are not held here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._cameras, self._sites, self._states, self._labels, self._tags = (_Codes() for _ in range(5))
        self._ids = np.zeros(FIRST, _ID)
        self._time = np.zeros(FIRST, np.float64)
        self._codes = np.full((FIRST, 3), -1, np.int32)
        """Camera, site, state."""
        self._revision = np.zeros(FIRST, np.int64)
        self._newest = np.zeros(FIRST, np.int64)
        """Largest id of an annotation of the frame."""
        self._boxes = np.zeros((FIRST, 8), np.uint8)
        """Per class: PROPOSAL, LABEL."""
        self._scores = np.zeros((FIRST, 8), np.float32)
        self._told = np.zeros((FIRST, 8), np.int8)
        """Per tag: 1 present, -1 absent."""
        self._vectors: NDArray[np.float32] = np.zeros((FIRST, 0), np.float32)
        self._has_vector = np.zeros(FIRST, np.bool_)
        self._order = np.zeros(0, np.int64)
        self._sorted = np.zeros(0, _ID)
        self._received = self._labelled = datetime.min.replace(tzinfo=UTC)
        self._annotation = 0
        self._gone = np.zeros(FIRST, np.bool_)
        self._length = 0
        """Numbers in an embedding: as many as the first one has."""
        self._theirs: bool | None = None
        """Whether the database compares embeddings; None until it was asked."""
        self.vectors = vectors.Vectors()
        self._deleted = -1
        """Last tombstone that was taken in."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._rows) - int(self._gone.sum())

    def __contains__(self, frame: str) -> bool:
        """Whether a search may find `frame`."""
        row = self._rows.get(frame)
        return row is not None and not self._gone[row]

    # --- keeping up --------------------------------------------------------------------------------------------------

    def refresh(self, session: Session) -> int:
        """Take in what changed since the last time; return the number of frames that did."""
        with self._lock:
            if self._theirs is None:
                self._theirs = vectors.there(session)
            if not self._rows:
                self._deleted = int(session.scalar(select(func.max(Deletion.id))) or 0)
                changed = self._load(session, None)
            else:
                stale = [*self._stale(session), *self._forget(session)]
                changed = sum(self._load(session, stale[i : i + BATCH]) for i in range(0, len(stale), BATCH))
            if changed:
                self._sort()
            return changed

    def _forget(self, session: Session) -> list[str]:
        """Pass over what was deleted since; return frames that stayed, and lost what was answered about them."""
        tombstones = select(Deletion.id, Deletion.kind, Deletion.item).where(Deletion.id > self._deleted)
        changed = []
        for number, kind, item in session.execute(tombstones.order_by(Deletion.id)):
            self._deleted = number
            row = self._rows.get(item)
            if row is None:
                continue
            if kind == "frame":
                self._gone[row], self._vectors[row] = True, 0
            elif kind == "labels":
                changed.append(item)
        return changed

    def _stale(self, session: Session) -> list[str]:
        back = timedelta(seconds=OVERLAP_S)
        found: dict[str, None] = {}
        columns = select(Frame.id, Frame.revision)
        for column, seen in ((Frame.received_at, self._received), (Frame.labelled_at, self._labelled)):
            since = seen - back if seen.year > 1 else seen
            for frame, revision in session.execute(columns.where(column > since)):
                row = self._rows.get(frame)
                if row is None or self._revision[row] != revision:
                    found[frame] = None
        # not grouped by the database: SQLite would go through the index of all annotations for it
        after = select(Annotation.frame, Annotation.id).where(Annotation.id > self._annotation - OVERLAP_IDS)
        newest = {frame: number for frame, number in session.execute(after.order_by(Annotation.id))}  # noqa: C416
        for frame, annotation in newest.items():
            row = self._rows.get(frame)
            if row is None or self._newest[row] != annotation:
                found[frame] = None
        return list(found)

    def _load(self, session: Session, ids: Sequence[str] | None) -> int:
        """Take in the frames `ids`, all where it is None."""
        query = select(
            Frame.id, Frame.node, Frame.camera, Frame.site, Frame.state, Frame.captured_at, Frame.revision, Frame.tags,
            Frame.embedding, Frame.received_at, Frame.labelled_at,
        )  # fmt: skip
        boxes = select(Annotation.frame, Annotation.id, Annotation.label, Annotation.confirmed, Annotation.score)
        if ids is not None:
            query, boxes = query.where(Frame.id.in_(ids)), boxes.where(Annotation.frame.in_(ids))
        count = 0
        for values in session.execute(query.execution_options(yield_per=BATCH * 10)):
            self._take(*values)
            count += 1
        for values in session.execute(boxes.execution_options(yield_per=BATCH * 10)):
            self._take_box(*values)
        return count

    def _take(
        self, frame: str, node: str, camera: str, site: str, state: str, time: datetime, revision: int,
        tags: dict[str, str] | None, embedding: bytes | None, received: datetime, labelled: datetime | None,
    ) -> None:  # fmt: skip
        row = self._rows.get(frame)
        if row is None:
            row = self._rows[frame] = len(self._rows)
            self._make_room(row)
            self._ids[row] = frame.encode()
        self._time[row] = time.timestamp()
        self._codes[row] = self._cameras.add((node, camera)), self._sites.add(site), self._states.add(state)
        self._revision[row], self._newest[row] = revision, 0
        self._boxes[row], self._scores[row], self._told[row] = 0, 0, 0
        for name, told in (tags or {}).items():
            self._told = _wide(self._told, column := self._tags.add(name))
            self._told[row, column] = 1 if told == "present" else -1
        self._take_vector(row, embedding)
        self._received = max(self._received, received)
        self._labelled = max(self._labelled, labelled or self._labelled)

    def _take_vector(self, row: int, embedding: bytes | None) -> None:
        vector = np.frombuffer(embedding or b"", "<f4")
        self._length = self._length or len(vector)
        self._has_vector[row] = len(vector) == self._length > 0
        if self._theirs:
            return
        if self._length and not self._vectors.shape[1]:
            self._vectors = np.zeros((len(self._ids), self._length), np.float32)
        if self._has_vector[row]:
            self._vectors[row] = vector

    def _take_box(self, frame: str, number: int, label: str, confirmed: bool, score: float | None) -> None:
        row = self._rows.get(frame)
        if row is None:
            return
        column = self._labels.add(label)
        if column >= self._boxes.shape[1]:
            self._boxes, self._scores = _wide(self._boxes, column), _wide(self._scores, column)
        self._boxes[row, column] |= LABEL if confirmed else PROPOSAL
        best = 1.0 if score is None or confirmed else score
        if best > self._scores[row, column]:
            self._scores[row, column] = best
        if number > self._newest[row]:
            self._newest[row] = number
            self._annotation = max(self._annotation, number)

    def _make_room(self, row: int) -> None:
        if row < len(self._ids):
            return
        for name in ("_ids", "_time", "_codes", "_revision", "_newest", "_boxes", "_scores", "_told", "_vectors",
                     "_has_vector", "_gone"):  # fmt: skip
            held = getattr(self, name)
            setattr(self, name, np.concatenate([held, np.zeros_like(held)]))

    def _sort(self) -> None:
        count = len(self._rows)
        if count != len(self._order):
            self._order = np.argsort(self._ids[:count], kind="stable")
            self._sorted = self._ids[self._order]

    # --- asking ------------------------------------------------------------------------------------------------------

    def search(self, query: Query, session: Session | None = None) -> Found:
        """Return a page of the frames that `query` describes, newest or most alike first; by `session` the database is
        asked for the latter where it compares embeddings. Raises SearchError."""
        with self._lock:
            mask = self._mask(query)
            if query.like is None:
                return self._newest_first(query, mask)
            row = self._among_alike(query.like, mask)
            if self._theirs and session is not None:
                return self._told_alike(session, query, mask)
            return self._most_alike(query, mask, row)

    def _mask(self, query: Query) -> NDArray[np.bool_]:
        count = len(self._rows)
        mask = ~self._gone[:count]
        for name in ("site", "state"):
            value = getattr(query, name)
            if value is not None:
                codes, column = (self._sites, 1) if name == "site" else (self._states, 2)
                mask &= self._codes[:count, column] == codes.get(value)
        if query.node is not None or query.camera is not None:
            wanted = [
                code for (node, camera), code in self._cameras.of.items()
                if query.node in (None, node) and query.camera in (None, camera)
            ]  # fmt: skip
            mask &= np.isin(self._codes[:count, 0], wanted)
        if query.since is not None:
            mask &= self._time[:count] >= query.since.timestamp()
        if query.until is not None:
            mask &= self._time[:count] < query.until.timestamp()
        self._mask_boxes(query, mask)
        for names, told in ((query.present, 1), (query.absent, -1)):
            for name in names:
                column = self._tags.get(name)
                mask &= self._told[:count, column] == told if column >= 0 else False
        return mask

    def _mask_boxes(self, query: Query, mask: NDArray[np.bool_]) -> None:
        scored = query.min_score is not None or query.max_score is not None
        if query.label is None and query.kind == "any" and not scored:
            return
        count, wanted = len(mask), _KINDS[query.kind]
        if query.label is None:
            has = (self._boxes[:count] & wanted) > 0
            best = np.where(has, self._scores[:count], -1.0).max(axis=1)
        else:
            column = self._labels.get(query.label)
            if column < 0:
                mask[:] = False
                return
            has = (self._boxes[:count, column] & wanted) > 0
            best = np.where(has, self._scores[:count, column], -1.0)
        mask &= best >= max(0.0, query.min_score or 0.0)
        if query.max_score is not None:
            mask &= best <= query.max_score

    def _newest_first(self, query: Query, mask: NDArray[np.bool_]) -> Found:
        total = int(mask.sum())
        end = len(self._order)
        if query.cursor is not None:
            end = int(np.searchsorted(self._sorted, query.cursor.encode()))
        rows = self._order[:end]
        rows = rows[mask[rows]][::-1][: query.limit + 1]
        ids = [i.decode() for i in self._ids[rows[: query.limit]]]
        return Found(ids, total, ids[-1] if len(rows) > query.limit else None)

    def _among_alike(self, like: str, mask: NDArray[np.bool_]) -> int:
        """Leave in `mask` what can be compared with the frame `like`; return its row."""
        row = self._rows.get(like)
        if row is None or self._gone[row]:
            raise SearchError("not_found", f"no frame {like[:64]}; it may have been removed")
        if not self._has_vector[row]:
            raise SearchError("no_embedding", "this frame has no embedding; the pack that saw it gives none")
        mask &= self._has_vector[: len(mask)]
        mask[row] = False
        return row

    def _told_alike(self, session: Session, query: Query, mask: NDArray[np.bool_]) -> Found:
        """Take those of `mask` as the database tells them, until the page is full."""
        total, found = int(mask.sum()), list[tuple[str, float]]()
        score, last = _parse(query.cursor) if query.cursor is not None else (np.float32("inf"), b"")
        with closing(vectors.nearest(session, query.like or "", float(score))) as every:
            for frame, alike in every:
                row = self._rows.get(frame)
                if row is None or not mask[row] or (alike == score and frame.encode() >= last):
                    continue
                found.append((frame, alike))
                if len(found) > query.limit:
                    break
        page = found[: query.limit]
        more = f"{page[-1][1]:.9g}~{page[-1][0]}" if len(found) > query.limit else None
        return Found([frame for frame, _ in page], total, more, [alike for _, alike in page])

    def _most_alike(self, query: Query, mask: NDArray[np.bool_], row: int) -> Found:
        count, total = len(mask), int(mask.sum())
        alike = np.where(mask, self._vectors[:count] @ self._vectors[row], -np.inf)
        if query.cursor is not None:
            score, last = _parse(query.cursor)
            mask &= (alike < score) | ((alike == score) & (self._ids[:count] < last))
            alike[~mask] = -np.inf
        keep = min(query.limit + 1, int(mask.sum()))
        best = np.argpartition(-alike, keep - 1)[:keep] if 0 < keep < count else np.flatnonzero(mask)
        if keep and keep < count:  # of equals at the edge, those with the highest ids
            best = np.flatnonzero(mask & (alike >= alike[best].min()))
        best = best[np.lexsort((self._ids[best], alike[best]))][::-1][: query.limit + 1]
        ids = [i.decode() for i in self._ids[best[: query.limit]]]
        scores = [float(v) for v in alike[best[: query.limit]]]
        more = len(best) > query.limit
        return Found(ids, total, f"{scores[-1]:.9g}~{ids[-1]}" if more else None, scores)

    def facets(self) -> Facets:
        """Return what there is to look for, with the number of frames of each."""
        with self._lock:
            count = len(self._rows)
            kept = ~self._gone[:count]
            boxes, told, codes = self._boxes[:count][kept], self._told[:count][kept], self._codes[:count][kept]
            time = self._time[:count][kept]
            count = len(time)
            return Facets(
                frames=count,
                embeddings=int(self._has_vector[: len(kept)][kept].sum()),
                cameras=_counted(self._cameras, codes[:, 0]),
                labels=[
                    Counted((name,), int((boxes[:, c] > 0).sum()), int((boxes[:, c] & LABEL > 0).sum()))
                    for name, c in self._labels.of.items()
                ],
                tags=[
                    Counted((name,), int((told[:, c] > 0).sum()), int((told[:, c] < 0).sum()))
                    for name, c in self._tags.of.items()
                ],
                states=_counted(self._states, codes[:, 2]),
                first=datetime.fromtimestamp(time.min(), UTC) if count else None,
                last=datetime.fromtimestamp(time.max(), UTC) if count else None,
            )


async def find(database: Database, index: FrameIndex, query: Query) -> Found:
    """Return a page of what `query` describes, with all that is stored by now. Raises SearchError."""

    def work(session: Session) -> Found:
        index.refresh(session)
        return index.search(query, session)

    if query.like is not None and database.engine.dialect.name == "postgresql":
        await database.run_write(index.vectors.catch_up, beside=True)
    return await database.run_read(work)


def _wide(held: NDArray[Any], column: int) -> NDArray[Any]:
    """Return `held` with room for `column`."""
    while column >= held.shape[1]:
        held = np.concatenate([held, np.zeros_like(held)], axis=1)
    return held


def _counted(codes: _Codes, column: NDArray[np.int32]) -> list[Counted]:
    counts = np.bincount(column, minlength=len(codes.of)) if len(column) else np.zeros(len(codes.of), np.int64)
    names: Iterable[Any] = codes.of
    return [Counted(name if isinstance(name, tuple) else (name,), int(counts[codes.of[name]])) for name in names]


def _parse(cursor: str) -> tuple[np.float32, bytes]:
    score, _, last = cursor.partition("~")
    try:
        return np.float32(score), last.encode("ascii")
    except ValueError:
        raise SearchError("bad_cursor", "the cursor is not one of this search; begin without one") from None
