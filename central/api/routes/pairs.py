"""Blur pairs: ask, show, answer."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Response

from central.annotate import crops
from central.annotate import pairs as annotate
from central.api import schemas as s
from central.api.access import Annotator, Viewer
from central.api.context import CentreDep
from central.api.errors import documented, not_found
from central.api.routes.frames import IMMUTABLE, Limit
from central.store.models import BlurPair, Frame

router = APIRouter(prefix="/pairs", tags=["pairs"])
PairId = Annotated[int, Path(ge=1, le=2**31 - 1)]
PNG: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"image/png": {}}, "description": "PNG"}}


def _crop(row: BlurPair, side: Literal["left", "right"]) -> s.CropView:
    frame, box = (row.left, row.left_box) if side == "left" else (row.right, row.right_box)
    return s.CropView(frame=frame, box=(box[0], box[1], box[2], box[3]), image=f"/api/v1/pairs/{row.id}/{side}")


def _view(row: BlurPair) -> s.PairView:
    left, right = _crop(row, "left"), _crop(row, "right")
    return s.PairView(id=str(row.id), left=left, right=right, label=row.label, reason=row.reason)


@router.get("", responses=documented(401, 403, 422))
async def pairs(person: Annotator, centre: CentreDep, limit: Limit = 20) -> s.PairsView:
    """Pairs that nobody answered, the least certain first; more are made where few are left."""
    async with centre.database.read() as session:
        rows = await annotate.waiting(session, person.name, limit)
        answered = await annotate.answered(session, person.name)
    if len(rows) < limit:
        async with centre.database.write() as session:
            if await annotate.make(session):
                rows = await annotate.waiting(session, person.name, limit)
    return s.PairsView(items=[_view(row) for row in rows], answered=answered)


@router.get("/{pair}/{side}", response_class=Response, responses=PNG | documented(401, 404, 422))
async def crop(pair: PairId, side: Literal["left", "right"], _: Viewer, centre: CentreDep) -> Response:
    """One side of a pair, pixels as they are in its frame."""
    async with centre.database.read() as session:
        row = await session.get(BlurPair, pair)
        frame = None if row is None else await session.get(Frame, row.left if side == "left" else row.right)
    if row is None or frame is None:
        raise not_found(f"pair {pair}")
    data = await crops.crop(centre.blobs, frame, row.left_box if side == "left" else row.right_box)
    if data is None:
        raise not_found(f"image of pair {pair}")
    return Response(data, media_type="image/png", headers={"Cache-Control": IMMUTABLE})


@router.post("/{pair}", responses=documented(401, 403, 404, 422))
async def answer(pair: PairId, body: s.PairBody, person: Annotator, centre: CentreDep) -> s.PairAnswered:
    """Say which one is sharper. Another answer of the same person replaces it."""
    try:
        async with centre.database.write() as session:
            await annotate.answer(session, pair, person.name, body.answer, body.seconds)
            answered = await annotate.answered(session, person.name)
    except annotate.PairMissingError:
        raise not_found(f"pair {pair}") from None
    return s.PairAnswered(answered=answered)
