"""The queue, and working on a frame of it: leases, drafts, flags."""

from __future__ import annotations

from fastapi import APIRouter, Response

from central.annotate import drafts, leases
from central.annotate import queue as annotate
from central.annotate.asking import answer as asking
from central.annotate.asking.order import costs_now
from central.annotate.boxes import LabelBox
from central.api import schemas as s
from central.api import views
from central.api.access import Person, SiteAnnotator, Viewer
from central.api.answers import answering, shown
from central.api.context import CentreDep
from central.api.errors import documented
from central.api.routes.frames import FrameId, Limit
from central.api.sites import FrameAnnotator

router = APIRouter(tags=["queue"])


@router.get("/queue", responses=documented(401, 422))
async def queue(person: Viewer, centre: CentreDep, limit: Limit = 20) -> s.QueueView:
    """Frames that wait for a person, most valuable first."""
    async with centre.database.read() as session:
        items = await shown(session, await annotate.waiting(session, limit), person)
    return s.QueueView(items=items, pending=await centre.pending())


def _sites(person: Person) -> annotate.Sites:
    """Return where `person` may annotate: at sites of their own, or everywhere but at some."""
    everywhere = person.role != "viewer"
    named = (site for site in person.sites if person.may("annotator", site) != everywhere)
    return annotate.Sites(not everywhere, tuple(named))


@router.post("/queue/next", responses=documented(401, 403, 422))
async def next_frame(body: s.NextBody, person: SiteAnnotator, centre: CentreDep) -> s.NextView:
    """The most valuable frame that nobody else looks at, leased to whoever asks; null where there is none."""
    async with centre.database.write() as session:
        row = await annotate.next_frame(session, person.name, body.skip, _sites(person))
        return s.NextView(frame=None if row is None else (await shown(session, [row], person))[0])


def _reply(frame: str, body: s.ReplyBody, author: str) -> asking.Reply:
    """Return what `author` sent about `frame`."""
    asked = body.question
    boxes = [LabelBox(b.box, b.label) for b in asked.boxes]
    if asked.box is not None and asked.label is not None:
        boxes.append(LabelBox(asked.box, asked.label))
    labels = asked.labels
    if asked.kind == "click" and asked.label is not None:
        boxes, labels = [], [asked.label]
    return asking.Reply(
        frame, body.revision, author, asked.kind, body.answer, labels, asked.tag, boxes, body.seconds, body.point
    )


@router.post("/frames/{frame}/answer", responses=documented(401, 403, 404, 409, 422))
async def answer(frame: FrameId, body: s.ReplyBody, person: FrameAnnotator, centre: CentreDep) -> s.FrameView:
    """Answer the single question that a frame carries; the answer carries the next one.

    What is answered is kept as a partial label, and the frame goes on waiting, until it is complete for every label.
    """
    project, reply = centre.profile, _reply(frame, body, person.name)
    async with answering(centre, person), centre.database.write() as session:
        known = asking.Project(project.label_names, project.tag_names, await costs_now(session))
        row = await asking.answer(session, reply, known)
        view = (await shown(session, [row], person))[0]
    centre.notifier.emit("label")
    return view


@router.post("/frames/{frame}/lease", responses=documented(401, 403, 404, 409))
async def take(frame: FrameId, person: FrameAnnotator, centre: CentreDep) -> s.LeaseView:
    """Say that one looks at a frame, or still does: for two minutes. 409 `leased` where somebody else does."""
    async with answering(centre, person), centre.database.write() as session:
        await annotate.load(session, frame)
        lease = await leases.take(session, frame, person.name)
        return s.LeaseView(by=lease.by, until=lease.until)


@router.delete("/frames/{frame}/lease", status_code=204, response_class=Response, responses=documented(401, 403, 404))
async def give_up(frame: FrameId, person: FrameAnnotator, centre: CentreDep) -> None:
    """Let others have a frame."""
    async with centre.database.write() as session:
        await leases.give_up(session, [frame], person.name)


@router.put("/frames/{frame}/draft", responses=documented(401, 403, 404, 422))
async def keep(frame: FrameId, body: s.DraftBody, person: FrameAnnotator, centre: CentreDep) -> s.DraftView:
    """Keep what is on the screen. It is nobody else's, is checked when it is saved, and goes when it was."""
    boxes = [b.model_dump(mode="json", exclude_none=True) for b in body.boxes]
    sheet = drafts.Sheet(body.revision, boxes, body.tags, body.complete_for)
    async with answering(centre, person), centre.database.write() as session:
        await annotate.load(session, frame)
        return views.draft(await drafts.keep(session, frame, person.name, sheet))


@router.delete("/frames/{frame}/draft", status_code=204, response_class=Response, responses=documented(401, 403, 404))
async def forget(frame: FrameId, person: FrameAnnotator, centre: CentreDep) -> None:
    """Forget one's draft."""
    async with centre.database.write() as session:
        await drafts.forget(session, frame, person.name)


@router.post("/frames/{frame}/flag", responses=documented(401, 403, 404, 422))
async def flag(frame: FrameId, body: s.FlagBody, person: FrameAnnotator, centre: CentreDep) -> s.FrameView:
    """Mark a frame for others to look at, and say why."""
    async with answering(centre, person), centre.database.write() as session:
        row = await annotate.load(session, frame)
        await drafts.flag(session, frame, person.name, body.note)
        await session.flush()
        view = (await shown(session, [row], person))[0]
    centre.notifier.emit("label")
    return view


@router.delete("/frames/{frame}/flag", responses=documented(401, 403, 404))
async def unflag(frame: FrameId, person: FrameAnnotator, centre: CentreDep) -> s.FrameView:
    """Take the mark off."""
    async with answering(centre, person), centre.database.write() as session:
        row = await annotate.load(session, frame)
        await drafts.unflag(session, frame)
        view = (await shown(session, [row], person))[0]
    centre.notifier.emit("label")
    return view
