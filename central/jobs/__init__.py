"""Run a function of ours somewhere else, without holding up the server.

    submit(function, args, ticket) -> queued -> running, with progress -> done | failed | cancelled
                                         ^          |
                                         +- back-off+   killed, or the network failed, and the ticket allows another go

`queue` has the order, limits and retries, all of it rows of the database; `child` runs a job in a process of its own
on this machine; `ray` has that process follow the job on a Ray cluster instead. The functions are the same. The state
of a job, and the end of what it printed, outlive the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

Kind = Literal["round", "training", "scoring", "chore", "other"]
Listener = Callable[[Literal["report", "end"], Mapping[str, Any]], Awaitable[None]]
"""Called with each report of a job, and once at its end with ``{"state": "done", "result": ...}`` or
``{"state": "failed" | "cancelled", "detail": ...}``, with ``"killed": True`` where its process was ended from outside
without a word, as by a machine that is short of memory."""
Report = Callable[[Mapping[str, Any]], None]
"""What a job calls with a JSON object for each step: ``progress`` 0..1, ``detail``, and what its listener wants."""

LIMITS: Final[Mapping[Kind, int]] = {"round": 1, "training": 1, "scoring": 1, "chore": 2, "other": 2}
"""Jobs of a kind that run at a time on one machine: each of the first three takes all the cores that it gets."""
CLUSTER_LIMITS: Final[Mapping[Kind, int]] = {"round": 1, "training": 4, "scoring": 8, "chore": 2, "other": 8}
"""The same where they run on a cluster, which shares its cores out by itself; rounds follow each other everywhere."""
PERSON: Final = 10
"""Priority of what a person waits for."""
BACKGROUND: Final = 0
"""Priority of what nobody waits for."""


class JobError(ValueError):
    """A job that cannot be run, or does not exist. The text says which, and why."""


@dataclass(frozen=True)
class Ticket:
    """How a job queues. `attempts`: how often it may be begun; more than 1 only where doing it twice does no harm."""

    kind: Kind = "chore"
    title: str = ""
    by: str = ""
    priority: int = BACKGROUND
    attempts: int = 1


CHORE: Final = Ticket()


class Jobs(Protocol):
    """Where jobs run."""

    async def submit(
        self,
        function: str,
        args: Mapping[str, Any],
        listener: Listener | None = None,
        secrets: Mapping[str, Any] | None = None,
        ticket: Ticket = CHORE,
    ) -> str:
        """Queue ``package.module:name`` with keyword `args` (JSON) and return the id of the job; it begins at once
        where the limits allow.

        The function also gets ``report``, to be called with a JSON object for each step, and returns one. `secrets`
        are further arguments that are written nowhere. Raises JobError.
        """
        ...

    async def cancel(self, job: str) -> bool:
        """Stop a job, or take it out of the queue; False where it is over."""
        ...

    async def retry(self, job: str) -> bool:
        """Queue a job that failed or was cancelled once more; False where it is not over, or was done."""
        ...

    async def log(self, job: str) -> str:
        """Return the end of what a job printed. Raises JobError where there is no such job."""
        ...
