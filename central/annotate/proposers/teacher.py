"""A teacher: a larger or foreign detector (`central.learn.teachers`), by local path or hub name."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import proposals
from central.annotate.profile import ProfileProposer
from central.annotate.proposers import Desk, ProposerError
from central.learn import teachers


def _parts(given: ProfileProposer) -> tuple[str, str]:
    """Return the kind of the teacher and its model. Raises ProposerError."""
    kind, colon, model = given.model.partition(proposals.COLON)
    if not (kind and colon and model):
        raise ProposerError(
            f"teacher {given.model!r}: give KIND:MODEL, for example transformers:models/dfine-s or zero-shot:HUB/NAME"
        )
    return kind, model


class Teacher:
    """Proposes once on every frame; its proposals take the place of every other machine's, of the labels it covers."""

    name = "teacher"
    about = "a larger or foreign detector, by local path or hub name"

    async def waiting(self, session: AsyncSession, given: ProfileProposer, pack: str | None, every: bool) -> int:
        """Return how many frames it has not looked at."""
        return await proposals.outdated(session, proposals.teacher_name(*_parts(given)))

    async def propose(self, desk: Desk, given: ProfileProposer) -> Mapping[str, int]:
        """Propose boxes. Raises ProposerError."""
        kind, model = _parts(given)
        name, ours = proposals.teacher_name(kind, model), tuple(desk.labels)
        async with desk.database.read() as session:
            if not await proposals.outdated(session, name):
                return {"frames": 0, "changed": 0}
        try:
            opened = teachers.find(kind).open(model, ours, dict(given.names), given.threshold)
        except ValueError as error:  # of the teacher, or of what it is made with
            raise ProposerError(str(error)) from None
        covers = frozenset(ours[index] for index in opened.sees)
        by = proposals.Proposer(name, name, ours, opened.propose, covers)
        return await proposals.propose(desk.database, desk.blobs, by, ours, desk.report, desk.limit, until=desk.until)


PROPOSER = Teacher()
