"""Run a function of ours somewhere else, without holding up the server.

    submit(function, args) -> job id -> progress -> done | failed | cancelled

`process` runs each job in a Python process of its own. The state of a job is a row of the database, its output a log
file; both outlive the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

Listener = Callable[[Literal["report", "end"], Mapping[str, Any]], Awaitable[None]]
"""Called with each report of a job, and once at its end with ``{"state": "done", "result": ...}`` or
``{"state": "failed" | "cancelled", "detail": ...}``, with ``"killed": True`` where its process was ended from outside
without a word, as by a machine that is short of memory."""


class JobError(ValueError):
    """A job that cannot be run, or does not exist. The text says which, and why."""


class Jobs(Protocol):
    """Where jobs run."""

    async def submit(
        self,
        function: str,
        args: Mapping[str, Any],
        listener: Listener | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> str:
        """Start ``package.module:name`` with keyword `args` (JSON) and return the id of the job.

        The function also gets ``report``, to be called with a JSON object for each step, and returns one. `secrets`
        are further arguments that are written nowhere. Raises JobError.
        """
        ...

    async def cancel(self, job: str) -> bool:
        """Stop a job; False where it runs no more."""
        ...

    async def log(self, job: str) -> str:
        """Return the end of what a job printed. Raises JobError where there is no such job."""
        ...
