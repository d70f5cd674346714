"""The released pack, with more looks at a frame than a node has time for (`central.annotate.eyes`), and its tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import proposals
from central.annotate.profile import ProfileProposer
from central.annotate.proposers import Desk
from edge.runtime.model import Model
from protocols.pack import open_folder

THREADS: Final = 1
"""Of the model: nodes and people come first."""


class Pack:
    """Proposes wherever another pack's or a node's older proposals stand; no teacher's are replaced."""

    name = "pack"
    about = "the released pack, looking several times at each frame"

    async def waiting(self, session: AsyncSession, given: ProfileProposer, pack: str | None, every: bool) -> int:
        """Return how many frames it has not looked at."""
        return 0 if pack is None else await proposals.outdated(session, pack, every)

    async def propose(self, desk: Desk, given: ProfileProposer) -> Mapping[str, int]:
        """Renew boxes and tags. Raises PackError and RuntimeFault."""
        if desk.pack is None:
            return {"frames": 0, "changed": 0}
        async with desk.database.read() as session:
            if not await proposals.outdated(session, desk.pack.name, desk.every):
                return {"frames": 0, "changed": 0}
        with Model(open_folder(desk.pack), backend="cpu", threads=THREADS) as model:
            by = proposals.of_pack(model)
            return await proposals.propose(
                desk.database, desk.blobs, by, desk.labels, desk.report, desk.limit, every=desk.every, until=desk.until
            )


PROPOSER = Pack()
