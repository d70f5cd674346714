"""What the routes work with: one `Centre` per process, put together by `central.api.app`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from fastapi import Depends, Request

from central.annotate import queue
from central.annotate.profile import Profile
from central.api import schemas, summary
from central.api.thumbnails import Thumbnails
from central.jobs import Jobs
from central.link import BrokerAddress
from central.notify import Notifier
from central.servers.duties import Duties
from central.settings import Settings
from central.store.blobs import Blobs
from central.store.counting import Lasting
from central.store.database import Database
from central.store.search import FrameIndex
from protocols.messages import Reply
from protocols.pack import Pack

if TYPE_CHECKING:
    from central.api.access import LoginGate
    from central.api.ledger import Ledger


Action = Literal["snapshot", "pause", "resume", "restart"]


class FleetError(Exception):
    """Something that cannot be asked of the nodes. The text says which, and why."""


class Fleet(Protocol):
    """The nodes, as seen through the broker."""

    async def command(self, node: str, action: Action, camera: str = "") -> Reply:
        """Ask something of `node`. Raises FleetError where it does not answer in time."""
        ...

    async def register(self, pack: Pack) -> None:
        """Take `pack` into the registry. Raises PackError, OSError."""
        ...

    async def release(self, address: str, by: str, notes: str) -> int:
        """Offer the registered pack at `address` to every node; return the number of the release. Raises FleetError."""
        ...

    async def tell(self) -> None:
        """Tell every node what counts for it now: its policy, and the newest release."""
        ...

    def node_login(self, node: str) -> BrokerAddress:
        """Return the broker's address with the login of `node`. Raises TopicError."""
        ...

    def problems(self) -> Sequence[str]:
        """Return what is wrong with the connection, in words; empty where nothing is."""
        ...


@dataclass
class Centre:
    """Everything that a route may need. Only `profile` is ever replaced, under `editing`; ask for it anew each time."""

    settings: Settings
    database: Database
    blobs: Blobs
    profile: Profile
    jobs: Jobs
    fleet: Fleet
    gate: LoginGate
    notifier: Notifier
    ledger: Ledger | None = None
    """Counts wrong passwords for all servers, where there may be several."""
    duties: Duties | None = None
    """What this server does for all; it also knows the other servers."""
    hand_over: Callable[[], Awaitable[None]] | None = None
    """Gives the other servers the duties of this one, and what nodes send."""
    fetch_pack: Callable[[str], Awaitable[object]] | None = None
    """Has a pack that another server registered here."""
    draining: bool = False
    """Whether this server ends, and takes nothing new."""
    thumbnails: Thumbnails = field(default_factory=Thumbnails)
    index: FrameIndex = field(default_factory=FrameIndex)
    editing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @cached_property
    def pending(self) -> Lasting[int]:
        """How many frames wait; at most a little old where there are very many."""

        async def count() -> int:
            async with self.database.read() as session:
                return await queue.pending(session)

        return Lasting(count)

    @cached_property
    def totals(self) -> Lasting[schemas.Totals]:
        """What is stored; at most a little old where that is very much."""

        async def count() -> schemas.Totals:
            async with self.database.read() as session:
                return await summary.totals(session)

        return Lasting(count)


def current(request: Request) -> Centre:
    """Return the centre that this request belongs to."""
    centre: Centre = request.app.state.centre
    return centre


CentreDep = Annotated[Centre, Depends(current)]
