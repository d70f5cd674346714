"""What this project labels, and changing it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from central.annotate import editing
from central.annotate import profile as profiles
from central.annotate.editing import Change, EditError
from central.api import schemas as s
from central.api import views
from central.api.access import Engineer, Viewer
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented
from central.store.models import ProfileVersion

router = APIRouter(prefix="/profile", tags=["profile"])


async def _state(centre: Centre, response: Response) -> s.ProfileState:
    row = await centre.database.run_read(editing.latest)
    version = 0 if row is None else row.version
    response.headers["ETag"] = f'"{version}"'
    shown = views.profile(centre.profile).model_dump()
    return s.ProfileState(**shown, version=version, profile=centre.profile)


@router.get("", responses=documented(401))
async def profile(_: Viewer, centre: CentreDep, response: Response) -> s.ProfileState:
    """Labels, with their colours and keys, tags, questions, sources and redaction."""
    return await _state(centre, response)


@router.put("", responses=documented(401, 403, 409, 422))
async def change(body: s.ProfileBody, person: Engineer, centre: CentreDep, response: Response) -> s.ProfileState:
    """Change the profile. 409 `conflict` where somebody else was quicker; 409 `in_use` for a label that frames have and
    of which nothing was said: rename it, delete it, or keep it on the frames that have it."""
    new = body.profile.model_copy(update={"base": centre.settings.profile})
    wanted = Change(
        body.version, new, person.name, body.renamed, body.removed, body.renamed_tags, body.removed_tags, body.note
    )
    async with centre.editing:
        try:
            await centre.database.run_write(lambda session: editing.edit(session, centre.profile, wanted).version)
        except EditError as error:
            status = 409 if error.code in ("conflict", "in_use") else 422
            detail = error.detail
            if error.code == "conflict":
                detail = (await _state(centre, response)).model_dump(mode="json")
            raise ApiError(status, error.code, str(error), detail) from None
        await asyncio.to_thread(profiles.save, new, centre.settings.data)
        centre.profile = new
    centre.notifier.emit("label")
    return await _state(centre, response)


def _version(row: ProfileVersion) -> s.ProfileVersionView:
    labels, tags = ([part["name"] for part in row.profile.get(key) or ()] for key in ("labels", "tags"))
    return s.ProfileVersionView(
        version=row.version, at=row.at, by=row.by, note=row.note, changes=row.changes, labels=labels, tags=tags
    )


@router.get("/history", responses=documented(401))
async def history(
    _: Viewer, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50
) -> list[s.ProfileVersionView]:
    """The last edits, newest first: who, when, and what became of labels."""
    rows = await centre.database.run_read(lambda session: editing.history(session, limit))
    return [_version(row) for row in rows]


@router.get("/use", responses=documented(401))
async def use(_: Viewer, centre: CentreDep) -> s.ProfileUse:
    """How often each label and tag was given: what a rename or a removal would touch."""

    def work(session: Session) -> s.ProfileUse:
        labels = {name: editing.label_use(session, name) for name in centre.profile.label_names}
        tags = {name: editing.tag_use(session, name) for name in centre.profile.tag_names}
        return s.ProfileUse(
            labels={name: s.UseView(frames=u.frames, boxes=u.boxes) for name, u in labels.items()},
            tags={name: s.UseView(frames=u.frames) for name, u in tags.items()},
        )

    return await centre.database.run_read(work)
