"""Packs that nobody is offered: a gate of their round speaks against them, until an engineer says otherwise.

    round -> pack (held: why) -> override (who, why; in the audit log) -> released like any other
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from central.store.database import Database
from central.store.models import AuditEntry, Pack

ACTION: Final = "override"
MAX_REASON: Final = 500
DONE: Final = 200


class HeldError(ValueError):
    """A pack that may not be released. The text says why, and what to do."""


def check(pack: Pack) -> None:
    """Raise HeldError where nobody may be offered `pack`."""
    if pack.held and not pack.overridden:
        raise HeldError(
            f"pack {pack.address[:12]} ({pack.name}) is {pack.held}; look at the report of its round, and override it "
            "with a reason if it must run all the same"
        )


async def override(database: Database, address: str, by: str, reason: str, note: bool = True) -> None:
    """Let the pack at `address` be released all the same, for `reason`; with `note`, the audit log says so.

    Raises HeldError where there is nothing to override.
    """
    async with database.write() as session:
        pack = await session.get(Pack, address)
        if pack is None or not pack.held:
            raise HeldError(f"pack {address[:12]} is not held; nothing is to be overridden")
        pack.overridden = f"{by}: {reason[:MAX_REASON]}"
        if note:
            _noted(session, pack, by, reason)


def _noted(session: AsyncSession, pack: Pack, by: str, reason: str) -> None:
    target = f"/packs/{pack.address} {reason[:MAX_REASON]}"
    session.add(AuditEntry(by=by[:64], action=ACTION, target=target, status=DONE))
