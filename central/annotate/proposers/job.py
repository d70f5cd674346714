"""The job: every source that the profile names, one after the other, for a while each.

What one of them cannot do keeps none of the others from their work; it is told at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.profile import ProfileProposer
from central.annotate.proposers import DEFAULT, Desk, ProposerError, proposer
from central.store import blobs as blob_store
from central.store import database as db
from edge.runtime import RuntimeFault
from protocols.pack import PackError
from protocols.slots import SlotError

FUNCTION: Final = "central.annotate.proposers.job:run"
TURN_S: Final = 120.0
"""Seconds of one source in one job: new frames must not wait for a slow teacher to be through with old ones."""
FAULTS: Final = (ProposerError, SlotError, PackError, RuntimeFault, OSError)


def chosen(named: Sequence[ProfileProposer]) -> Sequence[ProfileProposer]:
    """Return the sources that a profile names, or those of a profile that names none."""
    return named or DEFAULT


async def waiting(session: AsyncSession, named: Sequence[ProfileProposer], pack: str | None, every: bool) -> int:
    """Return how many frames wait for one of the sources, cheaply: 0 where there is nothing to do."""
    total = 0
    for given in chosen(named):
        try:
            total += await proposer(given.kind).waiting(session, given, pack, every)
        except FAULTS:
            total += 1  # the job says what is wrong with it
    return total


async def work(
    desk: Desk, named: Sequence[ProfileProposer], turn: float = TURN_S
) -> tuple[dict[str, Mapping[str, int]], dict[str, str]]:
    """Let every source propose; return the counts and the troubles of each."""
    done: dict[str, Mapping[str, int]] = {}
    troubles: dict[str, str] = {}
    for given in chosen(named):
        name = f"{given.kind} {given.model}".strip()
        mine = Desk(
            desk.database, desk.blobs, desk.labels, desk.tags, desk.pack, desk.every, time.monotonic() + turn,
            desk.limit, desk.report,
        )  # fmt: skip
        try:
            done[name] = await proposer(given.kind).propose(mine, given)
        except FAULTS as error:
            troubles[name] = " ".join(str(error).split())[:500]
    return done, troubles


def run(
    proposers: list[dict[str, Any]],
    labels: list[str],
    tags: list[str],
    pack: str | None,
    database_url: str,
    blob_url: str | None,
    blob_folder: str,
    report: Callable[[Mapping[str, Any]], None],
    every: bool = False,
) -> dict[str, Any]:
    """Propose for whatever is new, by the sources `proposers` (as a profile has them), with the pack in folder `pack`.

    Raises ProposerError where every source failed.
    """

    async def turn() -> dict[str, Any]:
        database = db.connect(database_url)
        blobs = blob_store.connect(blob_url, Path(blob_folder))
        try:
            desk = Desk(database, blobs, labels, tags, Path(pack) if pack else None, every, report=report)
            done, troubles = await work(desk, [ProfileProposer.model_validate(given) for given in proposers])
        finally:
            blobs.close()
            await database.close()
        if troubles and not done:
            raise ProposerError("; ".join(f"{name}: {text}" for name, text in troubles.items()))
        changed = sum(counts.get("changed", 0) for counts in done.values())
        return {"changed": changed, "sources": {k: dict(v) for k, v in done.items()}, "troubles": troubles}

    return asyncio.run(turn())
