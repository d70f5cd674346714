"""How frames are shown to somebody, and how what annotation refuses becomes an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import drafts, queue, second
from central.annotate.asking.click import points
from central.annotate.asking.store import questions
from central.annotate.boxes import LabelError
from central.annotate.leases import LeasedError
from central.annotate.tag_proposals import said
from central.api import schemas as s
from central.api import views
from central.api.access import Person
from central.api.context import Centre
from central.api.errors import ApiError, not_found
from central.store.models import Frame


def visible(row: Frame, person: Person) -> bool:
    """Return whether `person` may see what others said of a frame: not while their own second opinion is wanted."""
    return person.role == "viewer" or not second.blind(row, person.name)


async def shown(session: AsyncSession, rows: Sequence[Frame], person: Person) -> list[s.FrameView]:
    """Return frames, whose annotations are loaded, as `person` sees them."""
    marks = await drafts.marks(session, [row.id for row in rows], person.name)
    waiting = [row.id for row in rows if row.state == "pending"]
    asked, tags = await questions(session, waiting), await said(session, waiting)
    clicked = await points(session, [row.id for row in rows])
    return [
        views.frame(
            row, marks[row.id], not visible(row, person), asked.get(row.id), tags.get(row.id, ()),
            clicked.get(row.id, ()),
        )
        for row in rows
    ]  # fmt: skip


@asynccontextmanager
async def answering(centre: Centre, person: Person) -> AsyncIterator[None]:
    """Turn what annotation refuses inside the block into answers. Put it around the transaction."""
    try:
        yield
    except queue.FrameMissingError as error:
        raise not_found(f"frame {str(error)[:64]}") from None
    except queue.ConflictError as error:
        message = "somebody else changed this frame meanwhile; look at it as it is now and answer again"
        async with centre.database.read() as session:
            view = (await shown(session, [error.frame], person))[0]
        raise ApiError(409, "conflict", message, view) from None
    except LeasedError as error:
        detail = s.LeaseView(by=error.lease.by, until=error.lease.until)
        raise ApiError(409, "leased", f"{error}; take another frame, or wait", detail) from None
    except LabelError as error:
        raise ApiError(422, error.code, str(error), error.detail) from None
