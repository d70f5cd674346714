"""Boxes of an earlier frame, moved to this one."""

from __future__ import annotations

from fastapi import APIRouter

from central.annotate.propagate import propagate
from central.annotate.track import TrackError
from central.api import schemas as s
from central.api import views
from central.api.answers import answering
from central.api.context import CentreDep
from central.api.errors import ApiError, documented
from central.api.routes.frames import FrameId
from central.api.sites import FrameAnnotator

router = APIRouter(tags=["queue"])


@router.post("/frames/{frame}/propagate", responses=documented(401, 403, 404, 409, 422))
async def moved(frame: FrameId, body: s.MoveBody, person: FrameAnnotator, centre: CentreDep) -> s.MovedView:
    """The boxes of the last labelled frame of the camera, or of another one, followed to this frame.

    What cannot be followed is left out; where nothing can be: 409 too_far, too_different, no_previous or no_image.
    """
    async with answering(centre, person):
        try:
            rows = await propagate(centre.database, centre.blobs, frame, body.from_, person.name)
        except TrackError as error:
            raise ApiError(409, error.code, str(error)) from None
    boxes = [
        views.box(row).model_copy(update={} if row.id is not None else {"id": f"track-{number}"})
        for number, row in enumerate(rows)
    ]
    return s.MovedView(boxes=boxes)
