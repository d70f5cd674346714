"""At a time of the day or week, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from central.learn.rules import State, Wanted

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM: Final = re.compile(r"(?:(daily)|weekly (mon|tue|wed|thu|fri|sat|sun)) ([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Times:
    """Every day, or on one day of the week (0: Monday), at a time."""

    day: int | None
    hour: int
    minute: int

    def last(self, now: datetime) -> datetime:
        """Return the newest of them that is not after `now`."""
        found = now.astimezone(UTC).replace(hour=self.hour, minute=self.minute, second=0, microsecond=0)
        if self.day is not None:
            found -= timedelta(days=(found.weekday() - self.day) % 7)
        step = timedelta(days=1 if self.day is None else 7)
        return found if found <= now else found - step


def parse(text: str) -> Times:
    """Read ``daily HH:MM`` or ``weekly DAY HH:MM``. Raises ValueError."""
    match = FORM.fullmatch(" ".join(text.lower().split()))
    if match is None:
        raise ValueError(f"{text[:40]!r} is no schedule; give 'daily HH:MM' or 'weekly mon HH:MM', in UTC")
    daily, day, hour, minute = match.groups()
    return Times(None if daily else DAYS.index(day), int(hour), int(minute))


class Schedule:
    """One that was missed, as the centre was not running, is made up for once."""

    name = "schedule"
    about = "a time of the day or week came"

    def wish(self, wanted: Wanted) -> str:
        """Return when."""
        return wanted.schedule and f"{wanted.schedule} UTC"

    def due(self, state: State, wanted: Wanted) -> str | None:
        """Return why a round is due now."""
        if not wanted.schedule or state.handled is None:
            return None
        last = parse(wanted.schedule).last(state.now)
        return f"the schedule: {wanted.schedule} UTC" if last > state.handled else None


RULE = Schedule()
