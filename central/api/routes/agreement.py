"""Second opinions: how far people agree, and who decides; and how good proposals are."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from central.annotate import agreement, second, sources
from central.annotate import queue as annotate
from central.api import schemas as s
from central.api import views
from central.api.access import Engineer, Viewer
from central.api.answers import answering, shown
from central.api.context import CentreDep
from central.api.errors import documented
from central.api.routes.frames import FrameId, Limit, answer_of
from central.store.models import Frame, LabelRevision, Opinion

router = APIRouter(tags=["agreement"])


@router.get("/agreement", responses=documented(401))
async def agreements(_: Viewer, centre: CentreDep) -> s.AgreementsView:
    """How far every two people agree, by tag and by class."""
    async with centre.database.read() as session:
        answers = await agreement.answers(session)
    items = [
        s.AgreementView(
            people=one.people, kind=one.kind, name=one.name, frames=len(one.ratings), kappa=one.kappa, f1=one.f1,
            mean_iou=one.mean_iou, both=one.both, first=one.first, second=one.second,
        )
        for one in agreement.compare(answers)
    ]  # fmt: skip
    return s.AgreementsView(items=items, frames=len(answers))


def _opinion(row: LabelRevision | Opinion) -> s.OpinionView:
    boxes = views.answered(row.boxes)
    return s.OpinionView.model_validate(
        {"by": row.author, "at": row.at, "boxes": boxes, "tags": row.tags or {}, "complete_for": row.complete_for}
    )


@router.get("/adjudication", responses=documented(401, 403, 422))
async def adjudication(person: Engineer, centre: CentreDep, limit: Limit = 20) -> s.DisputesView:
    """Frames with two answers that differ, both shown, oldest first."""
    async with centre.database.read() as session:
        rows = await second.disputed(session, limit)
        query = select(Frame).where(Frame.id.in_([f.id for f, _, _ in rows])).options(selectinload(Frame.annotations))
        frames = list(await session.scalars(query.execution_options(populate_existing=True)))
        view = {v.id: v for v in await shown(session, frames, person)}
    return s.DisputesView(
        items=[s.DisputeView(frame=view[f.id], first=_opinion(one), second=_opinion(other)) for f, one, other in rows]
    )


@router.post("/frames/{frame}/adjudicate", responses=documented(401, 403, 404, 409, 422))
async def adjudicate(frame: FrameId, body: s.LabelsBody, person: Engineer, centre: CentreDep) -> s.FrameView:
    """Say what counts. It becomes the frame's labels, and ends the dispute; both answers stay in the records."""
    project = centre.profile
    answer, tags = answer_of(frame, body, person.name), [tag.name for tag in project.tags]
    async with answering(centre, person), centre.database.write() as session:
        person.demand("engineer", (await annotate.load(session, frame)).site)
        row = await annotate.label(session, answer, project.label_names, tags, settles=True)
        view = (await shown(session, [row], person))[0]
    centre.notifier.emit("label")
    return view


@router.get("/sources", responses=documented(401))
async def proposals(_: Viewer, centre: CentreDep) -> s.SourcesView:
    """How good each source of proposals is, from what people made of them."""
    async with centre.database.read() as session:
        found = await sources.tally(session)
    return s.SourcesView(items=[_source(one) for one in found])


def _source(one: sources.Source) -> s.SourceView:
    curve, size = one.curve(), 1.0 / sources.PARTS
    return s.SourceView(
        source=one.source, label=one.label, proposed=one.proposed, kept=one.outcomes["kept"],
        moved=one.outcomes["moved"], relabelled=one.outcomes["relabelled"], deleted=one.outcomes["deleted"],
        precision=one.precision,
        calibration=[
            s.CalibrationView(
                low=i * size, high=(i + 1) * size, proposed=part.proposed, right=part.right,
                confidence=None if curve is None else curve[i],
            )
            for i, part in enumerate(one.parts)
        ],
    )  # fmt: skip
