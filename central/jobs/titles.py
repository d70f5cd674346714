"""What a job is called where people see it."""

from __future__ import annotations

from typing import Final

from central.annotate.asking import order
from central.annotate.proposers import job as proposing
from central.jobs import rounds
from central.store.models import Job

TITLES: Final = {
    order.FUNCTION: "Order of the queue", proposing.FUNCTION: "Proposals for what is new", rounds.FUNCTION: "Round",
}  # fmt: skip
"""Of those that nobody names."""


def title(row: Job) -> str:
    """Return the title of a job: its own, that of its function, or the module that it is in."""
    return row.title or TITLES.get(row.function, row.function.rpartition(":")[0].removeprefix("central."))
