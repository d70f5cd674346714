"""Who may annotate a frame: it depends on the site that the frame is of."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path
from sqlalchemy import select

from central.api.access import Person, SiteAnnotator
from central.api.context import CentreDep
from central.api.errors import not_found
from central.store.models import FRAME_ID, Frame


async def _at_frame(
    frame: Annotated[str, Path(max_length=FRAME_ID)], person: SiteAnnotator, centre: CentreDep
) -> Person:
    async with centre.database.read() as session:
        site = await session.scalar(select(Frame.site).where(Frame.id == frame))
    if site is None:
        raise not_found(f"frame {frame}")
    person.demand("annotator", site)
    return person


FrameAnnotator = Annotated[Person, Depends(_at_frame)]
"""May annotate at the site of the frame ``{frame}`` in the path."""
