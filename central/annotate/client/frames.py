"""Frames: the queue, what people say of them, pairs, second opinions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from central.annotate.boxes import TagState
from central.annotate.client.base import Connection
from central.api import schemas as s

MAX_SKIP: Final = 200
"""Frames that the queue is told not to give again."""


def _labels(
    revision: int, boxes: Sequence[s.BoxBody], complete_for: Sequence[str], tags: dict[str, TagState] | None,
    seconds: float | None,
) -> s.LabelsBody:  # fmt: skip
    return s.LabelsBody(
        revision=revision, boxes=list(boxes), complete_for=list(complete_for), tags=tags or {}, seconds=seconds
    )


class Frames(Connection):
    """What is done with frames. Everything raises ClientError; a stale revision, ConflictError."""

    def queue(self, limit: int = 20) -> s.QueueView:
        """Return the most valuable waiting frames."""
        return self._view(s.QueueView, "GET", "/queue", limit=limit)

    def next(self, skip: Sequence[str] = ()) -> s.FrameView | None:
        """Return the most valuable frame that nobody looks at, leased to us; None where none waits."""
        return self._view(s.NextView, "POST", "/queue/next", {"skip": list(skip)}).frame

    def review(self) -> Iterator[s.FrameView]:
        """Yield waiting frames one by one, each leased to us as long as it is looked at."""
        seen: list[str] = []
        while (frame := self.next(seen[-MAX_SKIP:])) is not None:
            seen.append(frame.id)
            try:
                yield frame
            finally:
                self.give_up(frame.id)

    def lease(self, frame: str) -> s.LeaseView:
        """Say that we look at a frame, or still do. ClientError ``leased`` where somebody else does."""
        return self._view(s.LeaseView, "POST", f"/frames/{frame}/lease")

    def give_up(self, frame: str) -> None:
        """Let others have a frame."""
        self._send("DELETE", f"/frames/{frame}/lease")

    def frames(
        self, state: s.FrameState | None = None, camera: str | None = None, node: str | None = None
    ) -> Iterator[s.FrameView]:
        """Yield frames, newest first."""
        return self._pages(s.FramePage, "/frames", state=state, camera=camera, node=node)

    def frame(self, frame: str) -> s.FrameView:
        """Return one frame."""
        return self._view(s.FrameView, "GET", f"/frames/{frame}")

    def image(self, frame: str) -> bytes:
        """Return the JPEG of a frame."""
        return self._send("GET", f"/frames/{frame}/image")

    def history(self, frame: str) -> list[s.AnswerView]:
        """Return every answer about a frame, oldest first."""
        return self._view(s.HistoryView, "GET", f"/frames/{frame}/history").items

    def previous(self, frame: str) -> s.FrameView:
        """Return the last labelled frame of the same camera before this one."""
        return self._view(s.FrameView, "GET", f"/frames/{frame}/previous")

    def propagate(self, frame: str, source: str | None = None) -> list[s.BoxView]:
        """Return the boxes of an earlier frame (the last labelled one), moved to this one by tracking."""
        body = {} if source is None else {"from": source}
        return self._view(s.MovedView, "POST", f"/frames/{frame}/propagate", body).boxes

    def label(
        self, frame: str, revision: int, boxes: Sequence[s.BoxBody], complete_for: Sequence[str] = (),
        tags: dict[str, TagState] | None = None, seconds: float | None = None,
    ) -> s.FrameView:  # fmt: skip
        """Replace the labels of a frame."""
        body = _labels(revision, boxes, complete_for, tags, seconds)
        return self._view(s.FrameView, "PUT", f"/frames/{frame}/labels", body)

    def answer(self, frame: str, body: s.ReplyBody) -> s.FrameView:
        """Answer the single question that a frame carries; what comes back carries the next one."""
        return self._view(s.FrameView, "POST", f"/frames/{frame}/answer", body)

    def skip(self, frame: str, revision: int, reason: Literal["skip", "cant_tell"] = "skip") -> s.FrameView:
        """Put a frame aside."""
        return self._view(s.FrameView, "POST", f"/frames/{frame}/skip", {"revision": revision, "reason": reason})

    def flag(self, frame: str, note: str = "") -> s.FrameView:
        """Mark a frame for others to look at."""
        return self._view(s.FrameView, "POST", f"/frames/{frame}/flag", {"note": note})

    def unflag(self, frame: str) -> s.FrameView:
        """Take the mark off."""
        return self._view(s.FrameView, "DELETE", f"/frames/{frame}/flag")

    def keep_draft(self, frame: str, draft: s.DraftBody) -> s.DraftView:
        """Keep what is begun; it goes when it is saved."""
        return self._view(s.DraftView, "PUT", f"/frames/{frame}/draft", draft)

    def forget_draft(self, frame: str) -> None:
        """Forget what was begun."""
        self._send("DELETE", f"/frames/{frame}/draft")

    def pairs(self, limit: int = 20) -> s.PairsView:
        """Return pairs of objects of which one is to be said that it is sharper."""
        return self._view(s.PairsView, "GET", "/pairs", limit=limit)

    def pair_image(self, pair: str, side: Literal["left", "right"]) -> bytes:
        """Return the PNG of one side of a pair."""
        return self._send("GET", f"/pairs/{pair}/{side}")

    def answer_pair(
        self, pair: str, answer: Literal["left", "right", "cant_tell"], seconds: float | None = None
    ) -> int:
        """Say which one is sharper; return how many pairs we answered."""
        return self._view(s.PairAnswered, "POST", f"/pairs/{pair}", {"answer": answer, "seconds": seconds}).answered

    def agreement(self) -> s.AgreementsView:
        """Return how far every two people agree."""
        return self._view(s.AgreementsView, "GET", "/agreement")

    def adjudication(self, limit: int = 20) -> list[s.DisputeView]:
        """Return frames with two answers that differ."""
        return self._view(s.DisputesView, "GET", "/adjudication", limit=limit).items

    def adjudicate(
        self, frame: str, revision: int, boxes: Sequence[s.BoxBody], complete_for: Sequence[str] = (),
        tags: dict[str, TagState] | None = None,
    ) -> s.FrameView:  # fmt: skip
        """Say what counts of a frame with two answers."""
        body = _labels(revision, boxes, complete_for, tags, None)
        return self._view(s.FrameView, "POST", f"/frames/{frame}/adjudicate", body)

    def sources(self) -> list[s.SourceView]:
        """Return how good each source of proposals is."""
        return self._view(s.SourcesView, "GET", "/sources").items
