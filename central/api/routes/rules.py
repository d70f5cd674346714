"""What starts rounds by itself."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import documented
from central.api.starter import NOTE, past, state, wanted_of
from central.learn.rules import rules
from central.store.models import Setting
from protocols.messages import utc_now

router = APIRouter(prefix="/rules", tags=["rounds"])


@router.get("", responses=documented(401))
async def listed(_: Viewer, centre: CentreDep) -> s.RulesView:
    """The rules that start rounds, what the settings ask of each, and what is new since the last round."""
    wanted = wanted_of(centre.settings)
    async with centre.database.read() as session:
        before = await past(session)
        known = await state(session, utc_now(), before)
        note = await session.get(Setting, NOTE)
    rows = [
        s.RuleView(name=name, about=rule.about, asks=rule.wish(wanted), due=rule.due(known, wanted) or "")
        for name, rule in rules().items()
    ]
    return s.RulesView(
        rules=rows, new_frames=known.new, drifting=dict(known.drifting), pause_h=centre.settings.round_pause_h,
        note="" if note is None else str(note.value),
    )  # fmt: skip
