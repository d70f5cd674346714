"""Searching all frames: by camera, time, class, score, tag, state and likeness."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from central.api import schemas as s
from central.api.access import Viewer
from central.api.answers import shown
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented, not_found
from central.api.routes.frames import FRAME_ID, Name
from central.store import search as searching
from central.store.models import Frame

router = APIRouter(prefix="/search", tags=["search"])
MAX_TAGS: Final = 20
CURSOR: Final = r"^(-?[0-9.e+-]{1,24}~)?[0-9a-f-]{36}$"
Score = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]
Tags = Annotated[list[s.LabelName], Query(max_length=MAX_TAGS)]


async def _found(centre: Centre, query: searching.Query) -> searching.Found:
    try:
        return await searching.find(centre.database, centre.index, query)
    except searching.SearchError as error:
        if error.code == "not_found":
            raise not_found(f"frame {str(query.like)[:64]}") from None
        raise ApiError(422, error.code, str(error)) from None


@router.get("", responses=documented(401, 404, 422))
async def search(
    person: Viewer,
    centre: CentreDep,
    node: Name | None = None,
    camera: Name | None = None,
    site: Name | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    state: s.FrameState | None = None,
    label: Annotated[s.LabelName | None, Query()] = None,
    kind: Annotated[searching.Kind, Query(description="What boxes count: proposals, labels, or any.")] = "any",
    min_score: Score | None = None,
    max_score: Score | None = None,
    present: Tags = [],  # noqa: B006 - the framework copies it
    absent: Tags = [],  # noqa: B006
    like: Annotated[str | None, Query(pattern=FRAME_ID, description="Most alike to this frame first.")] = None,
    cursor: Annotated[str | None, Query(pattern=CURSOR)] = None,
    limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50,
) -> s.SearchPage:
    """Frames for which all of it holds. The best box of a class on a frame has the frame's score for it."""
    query = searching.Query(
        node, camera, site, since, until, state, label, kind, min_score, max_score, tuple(present),
        tuple(absent), like, cursor, limit,
    )  # fmt: skip
    found = await _found(centre, query)
    async with centre.database.read() as session:
        rows = select(Frame).where(Frame.id.in_(found.ids)).options(selectinload(Frame.annotations))
        by_id = {row.id: row for row in await session.scalars(rows)}
        kept = [frame for frame in found.ids if frame in by_id]
        views = await shown(session, [by_id[frame] for frame in kept], person)
    alike = dict(zip(found.ids, found.likeness, strict=False))
    items = [s.SearchItem(frame=view, likeness=alike.get(view.id)) for view in views]
    return s.SearchPage(items=items, total=found.total, next=found.next)


@router.get("/facets", responses=documented(401))
async def facets(_: Viewer, centre: CentreDep) -> s.SearchFacets:
    """What there is to look for, with the number of frames of each."""

    def work(session: Session) -> searching.Facets:
        centre.index.refresh(session)
        return centre.index.facets()

    found = await centre.database.run_read(work)
    return s.SearchFacets(
        frames=found.frames,
        embeddings=found.embeddings,
        cameras=[s.CameraCount(node=c.name[0], camera=c.name[1], frames=c.frames) for c in found.cameras],
        labels=[s.LabelCount(label=c.name[0], frames=c.frames, labelled=c.confirmed) for c in found.labels],
        tags=[s.TagCount(tag=c.name[0], present=c.frames, absent=c.confirmed) for c in found.tags],
        states={c.name[0]: c.frames for c in found.states},
        first=found.first,
        last=found.last,
    )
